"""Whole actions by scripts that lie, fail half way, hang and are killed together with their receiver."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from airbag_rollback.engine.states import State
from airbag_rollback.records import Action
from tests.fakes.alertmanager_api import alert
from tests.fakes.rollback import Bench, Process, Surroundings, bench, process
from tests.fakes.scripts import Stage, use, write_script
from tests.fakes.wait import until


def _script(around: Surroundings, body: str) -> Stage:
    """A script that notes what it is asked in `asked`, then does what `body` says for `apply`, and else looks."""
    return Stage(
        write_script(
            around.folder / "mine",
            f"""
            cd {around.folder}
            echo "$1" >> asked
            look() {{ [ -e effect ] && echo '{{"state": "done"}}' || echo '{{"state": "before"}}'; }}
            case $1 in verify) look; exit 0 ;; plan) [ ! -e no-plan ] || {{ sleep 600; }}; exit 0 ;; esac
            {body}
            """,
        ),
        around.folder / "state", {},
    )  # fmt: skip


def _asked(around: Surroundings, verb: str) -> int:
    path = around.folder / "asked"
    return path.read_text().split().count(verb) if path.exists() else 0


def _handled(around: Surroundings, body: str, **policy: str) -> tuple[Action, list[str]]:
    """The action and the states it went through."""
    use(around, "mine", _script(around, body), **policy)
    with bench(around) as desk:
        _bad(desk)
        action = desk.run_until_ended()
        return action, [event.after for event in desk.receiver.journal.actions.events(action.id)]


def _bad(desk: Bench) -> None:
    desk.released()
    desk.around.bad_release()
    desk.post(alert())


def test_exit_0_without_an_effect_is_never_a_success(around: Surroundings) -> None:
    action, states = _handled(around, "exit 0", switch_within="20s")
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "switch_unverified")
    assert states[-2:] == ["VERIFY_MECHANISM", "NEEDS_HUMAN"]
    assert _asked(around, "apply") == 1


def test_an_effect_and_then_a_failure_is_unknown_until_reality_is_read(around: Surroundings) -> None:
    action, states = _handled(around, "touch effect; echo lost the connection >&2; exit 1")
    assert (action.state, action.target_version) == (State.SUCCEEDED, 2)
    assert states[states.index("EXECUTING") :] == [
        "EXECUTING", "UNKNOWN", "VERIFY_MECHANISM", "VERIFY_OUTCOME", "SUCCEEDED",
    ]  # fmt: skip
    assert _asked(around, "apply") == 1


def test_a_failure_without_an_effect_is_tried_again_once_reality_says_so(around: Surroundings) -> None:
    action, states = _handled(around, "[ -e tried ] && touch effect && exit 0; touch tried; exit 1")
    assert action.state is State.SUCCEEDED
    assert states.count("UNKNOWN") == 1
    assert _asked(around, "apply") == 2


def test_75_before_an_effect_is_judged_anew_and_planned_anew(around: Surroundings) -> None:
    action, states = _handled(around, "[ -e tried ] && touch effect && exit 0; touch tried; echo busy >&2; exit 75")
    assert action.state is State.SUCCEEDED
    assert "UNKNOWN" not in states
    assert "BLOCKED" in states
    assert _asked(around, "plan") == 2


def test_75_after_an_effect_is_unknown_and_not_done_twice(around: Surroundings) -> None:
    action, states = _handled(around, "touch effect; exit 75")
    assert action.state is State.SUCCEEDED
    assert "UNKNOWN" in states
    assert _asked(around, "apply") == 1


def test_a_plan_that_hangs_calls_a_person_and_nothing_is_touched(around: Surroundings) -> None:
    stage = _script(around, "touch effect")
    (around.folder / "no-plan").touch()
    use(around, "mine", stage)
    around.write_policy(landings=around.policy["landings"] + "\n    timeout: 1s\n    grace: 100ms")
    with bench(around) as desk:
        _bad(desk)
        action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "script_refused")
    assert "not done within 1 s" in action.text
    assert not (around.folder / "effect").exists()


def test_each_step_is_applied_and_verified_by_itself(around: Surroundings) -> None:
    write_script(
        around.folder / "mine",
        f"""
        cd {around.folder}
        echo "$1 $AIRBAG_STEP $AIRBAG_KEY" >> steps
        case $1 in
        plan) echo '{{"text": "one node after the other", "steps": 2}}' ;;
        apply) touch "node$AIRBAG_STEP" ;;
        verify) [ -e "node$AIRBAG_STEP" ] || echo '{{"state": "before"}}' ;;
        esac
        """,
    )
    use(around, "mine", Stage(around.folder / "mine", around.folder / "state", {}))
    with bench(around) as desk:
        _bad(desk)
        action = desk.run_until_ended()
    assert (action.state, action.steps) == (State.SUCCEEDED, 2)
    lines = (around.folder / "steps").read_text().split("\n")
    applied = [line.split() for line in lines if line.startswith("apply")]
    assert [step for _, step, _ in applied] == ["0", "1"]
    assert len({key for _, _, key in applied}) == 2
    assert lines[lines.index(" ".join(applied[1])) - 1].startswith("verify 0")


# The real receiver, stopped and killed while the script is half way. The script waits for the file `go`.
SLOW = "echo $$ > pid; while [ ! -e go ]; do sleep 0.05; done; touch effect"


def _half_way(around: Surroundings, receiver: Process) -> int:
    """Let the receiver start its script; the script's number."""
    until(lambda: receiver.sees(2), timeout=60, what="the ledger to see 2")
    until(lambda: receiver.get("/v1/serving")["models"][0]["epoch"] >= 1, timeout=60, what="the first epoch")
    around.release(2, 3)
    until(lambda: receiver.sees(3), timeout=60, what="the ledger to see 3")
    around.bad_release()
    assert receiver.post(alert()) == 202
    return int(until(lambda: (around.folder / "pid").read_text(), timeout=60, what="the script to be half way"))


@pytest.fixture
def slow(around: Surroundings) -> Surroundings:
    use(around, "mine", _script(around, SLOW), soak_min="200ms")
    return around


def _ended(receiver: Process) -> bool:
    return [action["state"] for action in receiver.actions()] == ["SUCCEEDED"]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_receiver_that_is_told_to_end_waits_for_its_script(slow: Surroundings) -> None:
    with process(slow) as receiver:
        pid = _half_way(slow, receiver)
        receiver.process.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            receiver.process.wait(2)
        assert _alive(pid)
        (slow.folder / "go").touch()
        assert receiver.process.wait(60) == 0
        assert (slow.folder / "effect").exists()
    with process(slow) as second:
        until(lambda: _ended(second), timeout=90, what="success")
    assert _asked(slow, "apply") == 1


def test_a_script_outlives_a_receiver_that_is_killed_and_the_next_one_waits_for_it(slow: Surroundings) -> None:
    with process(slow) as receiver:
        pid = _half_way(slow, receiver)
        receiver.kill()
    assert _alive(pid)
    with process(slow) as second:
        said = "mine is still at work since before"
        until(lambda: said in _log(slow), timeout=60, what="the second receiver to see the script of the first")
        assert _asked(slow, "apply") == 1
        (slow.folder / "go").touch()
        until(lambda: _ended(second), timeout=90, what="success")
    assert _asked(slow, "apply") == 1


def _log(around: Surroundings) -> str:
    return Path(around.folder / "receiver.log").read_text()
