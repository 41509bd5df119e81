"""`airbag release --gate`: a release has to be shown good, or it goes back."""

from __future__ import annotations

import subprocess

from tests.fakes.cli import airbag
from tests.fakes.rollback import TOKENS, Process, Surroundings, process
from tests.fakes.wait import until


def gated(receiver: Process, seconds: str) -> subprocess.CompletedProcess[str]:
    until(lambda: receiver.sees(2), what="the ledger to see 2", timeout=60)
    return airbag(
        "release", "digits", "3", "--gate", seconds, "--config.file", receiver.around.policy_file,
        "--receiver.url", receiver.url, token=TOKENS["olga"],
    )  # fmt: skip


def test_a_release_that_is_shown_good_stays(around: Surroundings) -> None:
    around.write_policy(mode="observe", soak_min="200ms")
    around.prometheus.errors(3, 0.01)
    with process(around) as receiver:
        done = gated(receiver, "2s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed the gate: good by AirbagErrorRatioHigh" in done.stdout
    assert around.named() == (2, 3)


def test_a_release_that_is_bad_goes_back(around: Surroundings) -> None:
    around.write_policy(mode="observe", soak_min="200ms")
    around.bad_release()
    with process(around) as receiver:
        done = gated(receiver, "10m")
    assert (done.returncode, around.named()) == (1, (2,)), done.stdout + done.stderr
    assert "digits on main went back to 2: AirbagErrorRatioHigh: " in done.stderr


def test_a_release_that_nobody_can_judge_goes_back_too(around: Surroundings) -> None:
    around.write_policy(mode="observe", soak_min="200ms")
    around.prometheus.errors(2, 0.01)
    with process(around) as receiver:
        done = gated(receiver, "2s")
        (action,) = receiver.actions()
    assert (done.returncode, around.named()) == (1, (2,)), done.stdout + done.stderr
    assert "no signal called 3 good within 2 s" in done.stderr
    assert (action["source"], action["asked_by"], action["state"]) == ("person", "olga", "SUCCEEDED")


def test_without_a_receiver_nothing_is_released(around: Surroundings) -> None:
    done = airbag(
        "release", "digits", "3", "--gate", "2s", "--config.file", around.policy_file,
        "--receiver.url", "http://127.0.0.1:9", token=TOKENS["olga"],
    )  # fmt: skip
    assert (done.returncode, around.named()) == (1, (1, 2))
    assert "the receiver at http://127.0.0.1:9 gives no answer" in done.stderr
