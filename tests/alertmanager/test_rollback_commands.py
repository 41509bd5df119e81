"""`airbag release` and `airbag status` as a person uses them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.fakes.alertmanager_api import alert
from tests.fakes.rollback import Surroundings, process
from tests.fakes.wait import until


def airbag(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "airbag", *arguments], capture_output=True, text=True, timeout=60, check=False,
        env={"COLUMNS": "200", "PATH": ""},
    )  # fmt: skip


def release(around: Surroundings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return airbag("release", *arguments, "--config.file", str(around.policy_file))


def test_a_release_keeps_the_version_that_serves_and_waits_until_the_new_one_answers(around: Surroundings) -> None:
    done = release(around, "digits", "3")
    assert done.returncode == 0, done.stderr
    assert around.named() == (2, 3)
    assert around.serving.switches == [("digits", (2, 3))]
    assert "digits on main: models.config names 2 and 3" in done.stdout
    assert "one: 3 AVAILABLE, 3 answers" in done.stdout


def test_a_release_that_does_not_load_ends_with_the_servers_own_words(around: Surroundings) -> None:
    around.serving.broken[3] = (11, "Read less bytes than requested")
    done = release(around, "digits", "3")
    assert done.returncode == 1
    assert "digits 3 failed on one: OUT_OF_RANGE: Read less bytes than requested" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_waiting_the_release_ends_once_the_server_took_it(around: Surroundings) -> None:
    around.serving.stuck.add(3)
    assert release(around, "digits", "3", "--no-wait").returncode == 0
    late = release(around, "digits", "3", "--timeout", "1")
    assert late.returncode == 1
    assert "does not answer after 1 s: one: 3 LOADING, 2 answers" in late.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("digits", "1"), "1 is not newer than 2, which serves"),
        (("digits", "2"), "2 is not newer than 2, which serves"),
        (("digits", "9"), "digits has no complete version 9 in the model store; there: 1, 2, 3"),
        (("nothing", "3"), "model nothing: is on no such serving (there: main: digits other)"),
        (("digits", "3", "--serving", "elsewhere"), "model digits: is on no such serving"),
    ],
)
def test_a_release_that_makes_no_sense_touches_nothing(
    around: Surroundings, arguments: tuple[str, ...], message: str
) -> None:
    before = around.models_config.read_bytes()
    done = release(around, *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert (around.models_config.read_bytes(), around.serving.reloads) == (before, 0)


def test_status_shows_what_serves_and_the_last_actions(around: Surroundings) -> None:
    around.write_policy(mode="observe", soak_min="100ms")
    with process(around) as receiver:
        until(lambda: receiver.sees(2), what="the ledger to see 2")
        receiver.post(alert(2))
        until(
            lambda: [a for a in receiver.actions() if a["ended_at"] or a["state"] == "BLOCKED"], what="a judged action"
        )
        done = airbag("status", "--config.file", str(around.policy_file), "--receiver.url", receiver.url)
    assert done.returncode == 0, done.stderr
    assert "AirbagErrorRatioHigh" in done.stdout
    (row,) = [line for line in done.stdout.splitlines() if "│ digits" in line and "one" in line]
    assert [cell.strip() for cell in row.strip("│").split("│")][:6] == ["main", "digits", "one", "2", "2, 1", "1, 2"]


def test_status_works_without_a_receiver_and_without_a_server(around: Surroundings) -> None:
    around.serving.die()
    done = airbag("status", "--config.file", str(around.policy_file), "--receiver.url", "http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert "actions: the receiver at http://127.0.0.1:9 gives no answer" in done.stdout
    assert "UNAVAILABLE" in done.stdout
