"""When a decision asks about the world, and what it makes of it: over a fake Prometheus."""

from __future__ import annotations

import pytest

from airbag.rules import PROFILES
from airbag_rollback.engine.states import State
from airbag_rollback.signals import SIGNALS, fill
from tests.fakes.alertmanager_api import alert
from tests.fakes.rollback import Bench


def whats(desk: Bench) -> list[str]:
    """What was asked about in the last decision."""
    return [str(each["what"]) for each in desk.actions()[-1].evidence]


def test_the_world_is_asked_about_once_the_suspect_is_bad_and_the_target_was_good(desk: Bench) -> None:
    desk.post(alert())
    desk.run_until_ended()
    assert "the other models" in whats(desk)
    assert "good looks since the release of 3" in whats(desk)


@pytest.mark.parametrize(
    ("suspect", "baseline"), [(None, None), (None, 0.01), (0.01, 0.01), (0.9, None), (0.9, 0.9)],
    ids=["nothing", "no suspect", "good suspect", "no baseline", "bad baseline"],
)  # fmt: skip
def test_while_there_is_no_case_against_the_release_the_world_is_left_alone(
    desk: Bench, suspect: float | None, baseline: float | None
) -> None:
    desk.around.prometheus.errors(3, suspect)
    desk.around.prometheus.errors(2, baseline, history=True)
    desk.post(alert())
    desk.settle()
    assert "the other models" not in whats(desk)
    assert desk.around.serving.switches == []


def test_without_a_target_the_world_is_left_alone(desk: Bench) -> None:
    desk.around.write_policy(soak_min="1h")
    desk.receiver.reload()
    desk.post(alert())
    desk.settle()
    assert [action.reason for action in desk.actions()] == ["no_eligible_target"]
    assert "the other models" not in whats(desk)


def test_a_suspect_that_was_good_for_long_calls_a_person(desk: Bench) -> None:
    good = fill(f"count_over_time(({SIGNALS['AirbagErrorRatioHigh'].good})[", "main", "digits", 3, PROFILES["fast"])
    desk.watch(700)
    number = desk.around.prometheus.number

    def known(query: str) -> float | str | None:
        return 40 if query.startswith(good) else number(query)

    desk.around.prometheus.number = known  # type: ignore[method-assign] # the fake is the test's to shape
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "was_good")
    assert "it was good for 600 s after its release" in action.text
    assert desk.around.serving.switches == []


def route(desk: Bench, routing: str) -> None:
    """Let clients of digits choose versions that way."""
    file = desk.around.folder / "exporters.yml"
    file.write_text(file.read_text().replace("{name: digits}", f"{{name: digits, routing: {routing}}}"))
    desk.receiver.reload()


@pytest.mark.parametrize(
    ("routing", "beside", "state", "reason"),
    [
        ("versions", 0.9, State.NEEDS_HUMAN, "not_the_release"),
        ("versions", 0.01, State.SUCCEEDED, "recovered"),
        ("versions", None, State.SUCCEEDED, "recovered"),
        ("default", 0.9, State.SUCCEEDED, "recovered"),
    ],
    ids=["bad beside", "good beside", "unknown beside", "one after the other"],
)
def test_a_target_that_is_bad_at_the_same_time_speaks_for_the_world(
    desk: Bench, routing: str, beside: float | None, state: State, reason: str
) -> None:
    """Where all clients are answered by one version, the target's window only holds what was before the switch."""
    route(desk, routing)
    desk.around.prometheus.errors(2, beside)
    desk.post(alert())
    desk.settle()
    assert (
        "value of 2"
        in [each["what"] for each in desk.actions()[0].evidence if "over_time" not in each.get("query", "")]
    ) is (routing == "versions")
    desk.around.prometheus.errors(2, 0.01 if state is State.SUCCEEDED else beside)
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (state, reason)


def test_golden_requests_are_asked_of_every_version_that_is_loaded_so_they_are_compared_at_once(desk: Bench) -> None:
    for version, history in (("3", False), ("2", False)):
        desk.around.prometheus.values[("wrong", version, history)] = 1
    desk.around.prometheus.values[("wrong", "2", True)] = 0
    desk.post(alert(name="AirbagProbeFailed"))
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.SUPPRESSED, "not_the_release")


def test_a_version_that_does_not_load_is_looked_at_beside_the_loads_of_other_models(desk: Bench) -> None:
    desk.around.serving.broken[3] = (5, "no saved_model.pb")
    desk.around.release(2)
    desk.around.release(2, 3)
    desk.watch(2)
    desk.around.prometheus.values[("failing", "3", False)] = 1
    desk.around.prometheus.values[("failing", None, False)] = 0
    desk.post(alert(name="AirbagVersionLoadFailed"))
    desk.run_until_ended()
    assert "the other models" in whats(desk)
    assert not [each for each in whats(desk) if each.startswith(("good looks", "requests", "inputs"))]
