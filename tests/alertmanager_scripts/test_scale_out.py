"""scale-out by commands and by an address: one more, up to a limit, never fewer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from airbag_rollback.actions.landing import Effect, Found, Result
from airbag_rollback.engine.states import State
from tests.fakes.http_server import serving_http
from tests.fakes.rollback import Surroundings
from tests.fakes.scripts import SHIPPED, Stage, handle, order, use, write_script

TOKEN = "scaler-secret-9"


@dataclass(eq=False)
class Scaler:
    """What an orchestrator's scale address does."""

    replicas: object = 2
    puts: list[object] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    port: int = 0

    def handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send()

            def do_PUT(self) -> None:
                fake.replicas = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["replicas"]
                fake.puts.append(fake.replicas)
                self._send()

            def _send(self) -> None:
                fake.tokens.add(self.headers["Authorization"])
                data = json.dumps({"replicas": fake.replicas}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


@pytest.fixture
def scaler() -> Iterator[Scaler]:
    fake = Scaler()
    with serving_http(fake.handler()) as fake.port:
        yield fake


def _by_address(folder: Path, port: int, **changes: str) -> Stage:
    (folder / "scaler-token").write_text(TOKEN)
    environment = {
        "SCALE_URL": f"http://127.0.0.1:{port}/scale", "SCALE_TOKEN_FILE": str(folder / "scaler-token"),
        "SCALE_MAX": "4",
    }  # fmt: skip
    return Stage(SHIPPED / "scale-out", folder / "state", environment | changes, timeout=60.0, restores=False)


def _by_command(folder: Path) -> Stage:
    (folder / "replicas").write_text("2\n")
    change = write_script(
        folder / "scale",
        f"""
        [ "$(cat {folder}/replicas)" = "$1" ] || {{ echo "not $1" >&2; exit 1; }}
        echo "$2" > {folder}/replicas
        """,
    )
    environment = {
        "SCALE_READ": json.dumps(["cat", f"{folder}/replicas"]),
        "SCALE_SET": json.dumps([str(change), "{current}", "{replicas}"]), "SCALE_MAX": "4",
    }  # fmt: skip
    return Stage(SHIPPED / "scale-out", folder / "state", environment, timeout=60.0, restores=False)


ORDER = {"key": "main/digits/5/3/None/0", "target": None}


def test_one_order_is_one_server_more_by_an_address(scaler: Scaler, tmp_path: Path) -> None:
    stage = _by_address(tmp_path, scaler.port)
    made = stage.planned(**ORDER)
    assert stage.landing.look(made).found is Found.BEFORE
    assert stage.landing.apply(made).result is Result.DONE
    assert stage.landing.apply(made).result is Result.DONE
    assert scaler.puts == [3]
    assert scaler.tokens == {f"Bearer {TOKEN}"}
    assert stage.landing.look(made).found is Found.DONE


def test_one_order_is_one_server_more_by_commands(tmp_path: Path) -> None:
    stage = _by_command(tmp_path)
    made = stage.planned(**ORDER)
    assert stage.landing.apply(made).result is Result.DONE
    assert (tmp_path / "replicas").read_text() == "3\n"
    assert stage.landing.look(made).found is Found.DONE


def test_it_never_asks_for_fewer_and_never_for_more_than_the_limit(scaler: Scaler, tmp_path: Path) -> None:
    stage = _by_address(tmp_path, scaler.port)
    made = stage.planned(**ORDER)
    scaler.replicas = 9  # somebody was quicker
    assert stage.landing.apply(made).result is Result.DONE
    refused = stage.landing.plan(order(**ORDER))
    assert isinstance(refused, Effect)
    assert (refused.result, refused.reason) == (Result.IMPOSSIBLE, "script_refused")
    assert "SCALE_MAX is 4" in refused.text
    lowered = _by_address(tmp_path, scaler.port, SCALE_MAX="2")
    scaler.replicas = 2
    assert lowered.landing.apply(made).result is not Result.DONE
    assert scaler.puts == []


def test_a_number_that_somebody_lowered_meanwhile_is_left_alone(scaler: Scaler, tmp_path: Path) -> None:
    stage = _by_address(tmp_path, scaler.port)
    made = stage.planned(**ORDER)
    scaler.replicas = 1
    assert stage.landing.apply(made).result is Result.UNCLEAR
    assert stage.landing.look(made).found is Found.OTHER
    assert scaler.puts == []


@pytest.mark.parametrize("told", [None, "many", -1, 2.5])
def test_what_is_no_number_of_servers_is_not_guessed_at(scaler: Scaler, tmp_path: Path, told: object) -> None:
    stage = _by_address(tmp_path, scaler.port)
    made = stage.planned(**ORDER)
    scaler.replicas = told
    assert stage.landing.apply(made).result is Result.RETRY
    assert stage.landing.look(made).found is Found.UNSEEN
    assert scaler.puts == []


def test_a_command_that_fails_is_unknown(tmp_path: Path) -> None:
    stage = _by_command(tmp_path)
    made = stage.planned(**ORDER)
    write_script(tmp_path / "scale", "echo forbidden >&2; exit 1")
    effect = stage.landing.apply(made)
    assert effect.result is Result.UNCLEAR
    assert effect.text.endswith("forbidden")
    assert stage.landing.look(made).found is Found.BEFORE


def test_a_leader_that_was_overtaken_raises_nothing(scaler: Scaler, tmp_path: Path) -> None:
    stage = _by_address(tmp_path, scaler.port)
    assert stage.landing.apply(stage.planned(**ORDER, fence=7)).result is Result.DONE
    late = stage.landing.apply(stage.planned(key="another", target=None, fence=6))
    assert "fence 6 is lower than 7" in late.text
    assert scaler.puts == [3]


def test_an_alert_ends_with_one_server_more(scaler: Scaler, around: Surroundings, tmp_path: Path) -> None:
    use(around, "more", _by_address(tmp_path, scaler.port))
    action = handle(around)
    assert (action.state, action.target_version) == (State.SUCCEEDED, None), action
    assert scaler.puts == [3]
    assert around.named() == (2, 3)
