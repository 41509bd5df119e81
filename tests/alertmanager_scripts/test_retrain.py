"""retrain against an orchestrator that can refuse, be busy, hang up, and know keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from airbag_rollback.actions.landing import Effect, Found, Result
from airbag_rollback.engine.states import State
from tests.fakes.http_server import serving_http
from tests.fakes.ports import free_port
from tests.fakes.rollback import Surroundings
from tests.fakes.scripts import SHIPPED, Stage, handle, order, use

TOKEN = "orchestrator-secret-7"
KEY = "main/digits/5/3/None/0"
RUN = "airbag-main-digits-5-3-None-0"
TEMPLATE = {
    "dag_run_id": "{run_id}", "tags": ["airbag", "{unknown}"],
    "conf": {"model": "{model}", "bad": "{bad_version}", "why": "by {alertname} of {serving}"},
}  # fmt: skip


@dataclass(eq=False)
class Orchestrator:
    """Knows runs by their key. `status` is answered to posts; 0 takes the post and hangs up."""

    status: int = 200
    accepts: bool = True
    runs: dict[str, Any] = field(default_factory=dict)
    posts: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    port: int = 0

    def handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                fake.posts.append((self.path, dict(self.headers), body))
                key = self.headers["Idempotency-Key"]
                known = key in fake.runs
                if fake.accepts and fake.status in (0, 200):
                    fake.runs[key] = body
                if fake.status:
                    self._send(409 if known else fake.status)

            def do_GET(self) -> None:
                found = any(body["dag_run_id"] == self.path.rsplit("/", 1)[1] for body in fake.runs.values())
                self._send(200 if found else 404)

            def _send(self, status: int) -> None:
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", f"http://127.0.0.1:{fake.port}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


@pytest.fixture
def orchestrator() -> Iterator[Orchestrator]:
    fake = Orchestrator()
    with serving_http(fake.handler()) as fake.port:
        yield fake


def _stage(folder: Path, port: int, **changes: str) -> Stage:
    (folder / "template.json").write_text(json.dumps(TEMPLATE))
    (folder / "orchestrator-token").write_text(f"{TOKEN}\n")
    environment = {
        "RETRAIN_URL": f"http://127.0.0.1:{port}/dags/train_{{model}}/dagRuns",
        "RETRAIN_TEMPLATE": str(folder / "template.json"), "RETRAIN_TOKEN_FILE": str(folder / "orchestrator-token"),
    }  # fmt: skip
    return Stage(SHIPPED / "retrain", folder / "state", environment | changes, timeout=60.0, restores=False)


ORDER = {"key": KEY, "target": None}


def test_one_order_is_one_run_with_the_facts_filled_in(orchestrator: Orchestrator, tmp_path: Path) -> None:
    stage = _stage(tmp_path, orchestrator.port)
    made = stage.planned(**ORDER)
    assert orchestrator.posts == []
    assert stage.landing.look(made).found is Found.BEFORE
    assert stage.landing.apply(made).result is Result.DONE
    assert stage.landing.look(made).found is Found.DONE
    assert stage.landing.apply(made).result is Result.DONE  # the same order again
    ((path, headers, body),) = orchestrator.posts
    assert path == "/dags/train_digits/dagRuns"
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Idempotency-Key"] == KEY
    assert body == {
        "dag_run_id": RUN, "conf": {"model": "digits", "bad": 3, "why": "by AirbagErrorRatioHigh of main"},
        "tags": ["airbag", "{unknown}"],
    }  # fmt: skip


@pytest.mark.parametrize("status", [429, 503, 401, 404, 302])
def test_what_was_certainly_not_accepted_may_be_tried_again(
    orchestrator: Orchestrator, tmp_path: Path, status: int
) -> None:
    orchestrator.status = status
    stage = _stage(tmp_path, orchestrator.port)
    made = stage.planned(**ORDER)
    effect = stage.landing.apply(made)
    assert (effect.result, effect.reason) == (Result.RETRY, "script_not_now")
    assert str(status) in effect.text
    assert TOKEN not in effect.text
    assert [path for path, _, _ in orchestrator.posts] == ["/dags/train_digits/dagRuns"]  # and nobody is followed
    assert stage.landing.look(made).found is Found.BEFORE
    orchestrator.status = 200
    assert stage.landing.apply(made).result is Result.DONE
    assert list(orchestrator.runs) == [KEY]


def test_an_orchestrator_that_is_away_has_accepted_nothing(tmp_path: Path) -> None:
    stage = _stage(tmp_path, free_port())
    effect = stage.landing.apply(stage.planned(**ORDER))
    assert effect.result is Result.RETRY
    assert "does not answer" in effect.text


@pytest.mark.parametrize("status", [0, 500, 504])
def test_without_a_clear_answer_it_is_unknown_and_nothing_is_sent_twice(
    orchestrator: Orchestrator, tmp_path: Path, status: int
) -> None:
    orchestrator.status = status
    stage = _stage(tmp_path, orchestrator.port)
    made = stage.planned(**ORDER)
    assert stage.landing.apply(made).result is Result.UNCLEAR
    real = stage.landing.look(made)
    assert real.found is Found.UNSEEN
    assert "no answer came" in real.text
    orchestrator.status = 200
    assert stage.landing.apply(made).result is Result.UNCLEAR
    assert len(orchestrator.posts) == 1


@pytest.mark.parametrize("accepts", [True, False])
def test_an_orchestrator_that_can_be_asked_settles_what_is_unknown(
    orchestrator: Orchestrator, tmp_path: Path, accepts: bool
) -> None:
    orchestrator.status, orchestrator.accepts = 0, accepts
    status_url = f"http://127.0.0.1:{orchestrator.port}/dags/train_{{model}}/dagRuns/{{run_id}}"
    stage = _stage(tmp_path, orchestrator.port, RETRAIN_STATUS_URL=status_url)
    made = stage.planned(**ORDER)
    assert stage.landing.apply(made).result is Result.UNCLEAR
    assert stage.landing.look(made).found is (Found.DONE if accepts else Found.BEFORE)
    orchestrator.status, orchestrator.accepts = 200, True
    assert stage.landing.apply(made).result is Result.DONE  # with 409 when it knows the key
    assert list(orchestrator.runs) == [KEY]
    assert stage.landing.look(made).found is Found.DONE


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RETRAIN_URL", "file:///etc/passwd", "must begin with http"),
        ("RETRAIN_TEMPLATE", "/nowhere/template.json", "No such file"),
        ("RETRAIN_TOKEN_FILE", "/nowhere/token", "No such file"),
    ],
)
def test_wrong_settings_are_said_at_the_plan(tmp_path: Path, name: str, value: str, said: str) -> None:
    refused = _stage(tmp_path, 1, **{name: value}).landing.plan(order(**ORDER))
    assert isinstance(refused, Effect)
    assert refused.result is Result.IMPOSSIBLE
    assert said in refused.text


def test_an_alert_ends_with_one_run_asked_for_and_no_version_touched(
    orchestrator: Orchestrator, around: Surroundings, tmp_path: Path
) -> None:
    use(around, "retrain", _stage(tmp_path, orchestrator.port))
    action = handle(around)
    assert (action.state, action.target_version) == (State.SUCCEEDED, None), action
    assert len(orchestrator.runs) == 1
    assert around.named() == (2, 3)
    assert around.serving.switches == []
    for path in (around.folder / "journal").rglob("*"):
        assert path.is_dir() or TOKEN.encode() not in path.read_bytes()
