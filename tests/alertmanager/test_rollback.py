"""From an alert to its end: what is rolled back, for which signal, and what is kept of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from airbag_rollback.engine.states import State
from tests.fakes.alertmanager_api import alert
from tests.fakes.rollback import Bench


def test_a_bad_release_is_rolled_back_and_every_stage_has_its_time(desk: Bench) -> None:
    desk.post(alert(starts_at=datetime.fromtimestamp(desk.clock.now() - 3, UTC)))
    action = desk.run_until_ended()
    assert (action.state, action.reason, action.target_version) == (State.SUCCEEDED, "recovered", 2)
    assert desk.around.serving.switches == [("digits", (2,))]
    assert desk.around.named() == (2,)
    times = [
        action.alert_at, action.received_at, action.decided_at, action.armed_at, action.acted_at,
        action.available_at, action.recovered_at,
    ]  # fmt: skip
    assert None not in times
    assert times == sorted(times, key=lambda at: at or 0.0)
    states = [event.after for event in desk.receiver.journal.actions.events(action.id)]
    assert states == [
        "RECEIVED", "EVALUATING", "PLANNED", "LEASED", "ARMED", "EXECUTING", "VERIFY_MECHANISM", "VERIFY_OUTCOME",
        "SUCCEEDED",
    ]  # fmt: skip


def test_other_models_stay_as_they_are_byte_for_byte(desk: Bench) -> None:
    before = desk.around.models_config.read_text()
    desk.post(alert())
    desk.run_until_ended()
    after = desk.around.models_config.read_text()

    def rest(text: str) -> str:
        return re.sub(r"# airbag: generation \d+ fence \d+\n|specific \{ versions: 2.*?\}", "", text)

    assert after != before
    assert rest(after) == rest(before)
    assert 'name: "other"   # not ours to touch' in after
    assert desk.around.serving.models["other"] == {7: 30}


def test_every_question_to_prometheus_is_kept_as_evidence(desk: Bench) -> None:
    desk.post(alert())
    action = desk.run_until_ended()
    kept = {each["what"]: each for each in action.evidence}
    assert kept["value of 3"]["value"] == 0.9
    assert kept["threshold of 3"]["value"] == 0.05
    assert kept["samples of 3"]["value"] == 500
    assert kept["age of 3"]["value"] == 0.5
    assert 'model_version="2"' in kept["value of 2"]["query"]


def test_the_version_before_is_measured_when_it_last_served(desk: Bench) -> None:
    desk.post(alert())
    desk.run_until_ended()
    (at,) = {at for query, at in desk.around.prometheus.asked if "avg_over_time" in query}
    assert at is not None
    assert float(at) == 1_000_060.0


@pytest.mark.parametrize("signal", ["AirbagLatencyHigh", "AirbagAccuracyLow"])
def test_latency_and_accuracy_roll_back_like_errors(desk: Bench, signal: str) -> None:
    names = ("slow", "answers", 0.5, 0.01) if signal == "AirbagLatencyHigh" else ("accuracy", "labelled", 0.2, 0.97)
    for version, history in (("3", False), ("2", True), ("2", False)):
        desk.around.prometheus.values[(names[0], version, history)] = names[2] if version == "3" else names[3]
        desk.around.prometheus.values[(names[1], version, history)] = 300
    desk.post(alert(name=signal))
    assert desk.run_until_ended().state is State.SUCCEEDED
    assert desk.around.serving.switches == [("digits", (2,))]


def test_a_version_that_does_not_load_is_taken_out_of_the_config(desk: Bench) -> None:
    desk.around.serving.broken[3] = (5, "no saved_model.pb")
    desk.around.release(2)
    desk.around.release(2, 3)
    desk.around.serving.switches.clear()
    desk.watch(2)
    desk.around.prometheus.values[("failing", "3", False)] = 1
    desk.around.prometheus.values[("failing", None, False)] = 0
    desk.post(alert(name="AirbagVersionLoadFailed"))
    action = desk.run_until_ended()
    assert (action.state, action.target_version) == (State.SUCCEEDED, 2)
    assert desk.around.named() == (2,)


def _probes(desk: Bench, wrong: int | None, wrong_before: int | None = 0) -> None:
    """Let Prometheus know how many golden requests version 3 fails, and version 2 when it served and now."""
    desk.around.prometheus.values[("wrong", "3", False)] = wrong
    desk.around.prometheus.values[("wrong", "2", True)] = wrong_before
    desk.around.prometheus.values[("wrong", "2", False)] = 0


def test_a_version_that_fails_golden_requests_goes_when_the_one_before_answered_them_right(desk: Bench) -> None:
    _probes(desk, wrong=2)
    desk.post(alert(name="AirbagProbeFailed"))
    assert desk.run_until_ended().state is State.SUCCEEDED
    assert desk.around.serving.switches == [("digits", (2,))]


@pytest.mark.parametrize("known", [None, 0])
def test_an_alert_that_comes_before_prometheus_knows_its_cause_waits_for_the_numbers(
    desk: Bench, known: int | None
) -> None:
    _probes(desk, wrong=known)
    desk.post(alert(name="AirbagProbeFailed"))
    desk.settle()
    assert [(action.state, action.reason) for action in desk.actions()] == [
        (State.BLOCKED, "no_data" if known is None else "measured_before")
    ]
    _probes(desk, wrong=1)
    assert desk.run_until_ended().state is State.SUCCEEDED


@pytest.mark.parametrize(("before", "reason"), [(1, "not_the_release"), (None, "baseline_no_data")])
def test_golden_requests_that_may_be_wrong_themselves_do_not_keep_other_alerts_from_acting(
    desk: Bench, before: int | None, reason: str
) -> None:
    _probes(desk, wrong=1, wrong_before=before)
    desk.post(alert(name="AirbagProbeFailed"))
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.SUPPRESSED, reason)
    desk.post(alert(name="AirbagErrorRatioHigh"))
    desk.settle()
    assert desk.run_until_ended().state is State.SUCCEEDED


def test_duplicates_in_every_form_have_one_effect(desk: Bench) -> None:
    for second in range(5):
        changed = alert(starts_at=datetime.fromtimestamp(second, UTC)) | {"fingerprint": f"f{second}"}
        desk.post(changed, alert(), alert(name="AirbagLatencyHigh"))
        desk.turn()
    desk.run_until_ended()
    desk.post(alert())
    desk.run_until_ended()
    assert desk.around.serving.switches == [("digits", (2,))]
    assert desk.around.serving.reloads == 1
    assert [action.state for action in desk.actions()].count(State.SUCCEEDED) == 1


def test_a_restart_during_verification_keeps_the_time_of_the_touch(desk: Bench) -> None:
    desk.post(alert())
    desk.settle()
    acted_at = desk.actions()[0].acted_at
    desk.watch(5)
    desk.restart()
    action = desk.run_until_ended()
    assert acted_at is not None
    assert (action.state, action.acted_at) == (State.SUCCEEDED, acted_at)


@pytest.mark.parametrize("turns", range(1, 9))
def test_after_a_restart_at_any_step_there_is_one_effect(desk: Bench, turns: int) -> None:
    desk.post(alert())
    desk.turn(turns)
    desk.restart()
    assert desk.run_until_ended().state is State.SUCCEEDED
    assert desk.around.serving.switches == [("digits", (2,))]
    assert desk.around.named() == (2,)
    assert generation(desk) == 2


def generation(desk: Bench) -> int:
    found = re.match(r"# airbag: generation (\d+)", desk.around.models_config.read_text())
    return int(found[1]) if found else 0
