"""From an alert to its end: what the receiver does, and above all what it leaves alone."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from airbag.serving.model_config import ModelConfigFile
from airbag_rollback.engine.states import State
from tests.fakes.alertmanager_api import alert
from tests.fakes.rollback import Bench, Surroundings, bench, surroundings
from tests.fakes.serving_state import StatefulServing, stateful_serving


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


@pytest.mark.parametrize(
    ("value", "reason"), [(None, "no_data"), ("NaN", "no_data"), ("+Inf", "no_data"), (0.9, "not_enough_data")]
)
def test_without_a_verdict_nothing_moves_and_a_person_is_told_in_time(
    desk: Bench, value: float | str | None, reason: str
) -> None:
    desk.around.prometheus.errors(3, value, requests=3 if reason == "not_enough_data" else 500)
    desk.post(alert())
    desk.settle()
    assert [action.state for action in desk.actions()] == [State.BLOCKED]
    desk.watch(29)
    desk.settle()
    assert [action.state for action in desk.actions()] == [State.BLOCKED]
    desk.watch(2)
    desk.settle()
    (action,) = desk.actions()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, reason)
    assert desk.around.serving.reloads == 0
    assert desk.around.named() == (2, 3)


def test_old_data_is_no_data(desk: Bench) -> None:
    desk.around.prometheus.age = 16.0
    desk.post(alert())
    assert desk.run_until_ended().reason == "no_data"
    assert desk.around.serving.reloads == 0


@pytest.mark.parametrize(("status", "body"), [(500, None), (503, None), (200, b"<html>"), (200, b'{"data": 3}')])
def test_a_prometheus_that_fails_is_no_data(desk: Bench, status: int, body: bytes | None) -> None:
    desk.around.prometheus.status, desk.around.prometheus.body = status, body
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "no_data")
    assert any(each.get("outcome") == "error" for each in action.evidence)
    assert desk.around.serving.reloads == 0


def test_data_that_comes_late_still_leads_to_the_rollback(desk: Bench) -> None:
    desk.around.prometheus.status = 503
    desk.post(alert())
    desk.settle()
    desk.watch(10)
    desk.around.prometheus.status = 200
    assert desk.run_until_ended().state is State.SUCCEEDED


def test_when_the_version_before_was_bad_too_a_person_is_told(desk: Bench) -> None:
    desk.around.prometheus.errors(2, 0.5, history=True)
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "not_the_release")
    assert desk.around.serving.reloads == 0


def test_without_proof_that_the_version_before_was_good_nothing_moves(desk: Bench) -> None:
    desk.around.prometheus.errors(2, None, history=True)
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "baseline_no_data")
    assert desk.around.serving.reloads == 0


def test_a_version_before_that_hardly_answered_is_no_proof(desk: Bench) -> None:
    desk.around.prometheus.errors(2, 0.0, requests=3, history=True)
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "baseline_not_enough_data")
    assert desk.around.serving.reloads == 0


def test_a_version_that_turned_good_again_is_left_alone(desk: Bench) -> None:
    desk.around.prometheus.errors(3, 0.01)
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.SUPPRESSED, "good")


def test_an_old_release_is_not_blamed(desk: Bench) -> None:
    desk.watch(3600)
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "outside_release_window")
    assert desk.around.serving.reloads == 0


def test_an_alert_for_a_version_that_no_longer_serves_starts_nothing(desk: Bench) -> None:
    desk.around.release(2)
    desk.watch(2)
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.SUPPRESSED, "superseded")


@pytest.mark.parametrize(
    ("mode", "reason", "questions"), [("off", "mode_off", False), ("observe", "mode_observe", True)]
)
def test_the_mode_holds_the_hand_back(desk: Bench, mode: str, reason: str, questions: bool) -> None:
    desk.around.write_policy(mode=mode)
    desk.receiver.reload()
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.SUPPRESSED, reason)
    assert bool(desk.around.prometheus.asked) is questions
    assert action.target_version == (2 if mode == "observe" else None)
    assert desk.around.serving.reloads == 0


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


def test_a_resolved_alert_starts_nothing_and_stops_nothing(desk: Bench) -> None:
    desk.post(alert(status="resolved"))
    desk.settle()
    assert desk.actions() == []
    desk.post(alert())
    desk.turn(2)
    desk.post(alert(status="resolved"))
    assert desk.run_until_ended().state is State.SUCCEEDED


def test_without_a_complete_version_to_go_back_to_a_person_is_told(desk: Bench) -> None:
    (desk.around.folder / "store" / "digits" / "2" / "saved_model.pb").unlink()
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "no_eligible_target")
    assert "2 is neither loaded nor complete on disk" in action.text
    assert desk.around.serving.reloads == 0


def test_a_version_that_was_rolled_back_is_never_gone_back_to(desk: Bench) -> None:
    desk.post(alert())
    desk.run_until_ended()
    desk.around.version_on_disk(4)
    desk.around.release(3, 4)
    desk.watch(5)
    desk.around.prometheus.errors(4, 0.9)
    desk.post(alert(4))
    action = desk.run_until_ended()
    assert action.target_version == 2
    assert desk.around.serving.switches[-1] == ("digits", (2,))


def test_a_target_that_is_bad_as_well_is_ineffective_and_paged(desk: Bench) -> None:
    desk.around.prometheus.errors(2, 0.8)
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "ineffective")
    assert "INEFFECTIVE" in [event.after for event in desk.receiver.journal.actions.events(action.id)]
    assert desk.around.serving.switches == [("digits", (2,))]


def test_a_recovery_that_nobody_can_measure_is_not_called_a_success(desk: Bench) -> None:
    desk.around.prometheus.errors(2, None)
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "outcome_unverified")


def test_good_answers_from_before_the_switch_do_not_count_as_recovery(desk: Bench) -> None:
    desk.post(alert())
    action = desk.run_until_ended()
    assert action.recovered_at is not None
    assert action.recovered_at >= 1_000_060.0 + 15.0  # version 2 stopped at 60 s; the window looks back 15 s


def test_a_target_that_never_gets_up_is_told_with_the_servers_own_words(desk: Bench) -> None:
    desk.around.serving.broken[2] = (8, "no memory for it")
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "switch_unverified")
    assert "no memory for it" in action.text


def test_a_refused_reload_is_read_from_reality_and_tried_again(desk: Bench) -> None:
    desk.around.serving.refuse_reload = (grpc.StatusCode.FAILED_PRECONDITION, "label points to nothing")
    desk.post(alert())
    desk.settle()
    assert [action.state for action in desk.actions()] == [State.UNKNOWN]
    desk.around.serving.refuse_reload = None
    assert desk.run_until_ended().state is State.SUCCEEDED
    assert desk.around.serving.switches == [("digits", (2,))]


def test_a_reload_that_is_always_refused_is_not_hammered_and_ends_with_a_person(desk: Bench) -> None:
    desk.around.serving.refuse_reload = (grpc.StatusCode.FAILED_PRECONDITION, "label points to nothing")
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "switch_unverified")
    assert "label points to nothing" in action.text
    assert desk.around.serving.reloads <= 14


def test_a_release_between_plan_and_touch_ends_the_plan(desk: Bench) -> None:
    desk.post(alert())
    desk.turn(4)
    assert [action.state for action in desk.actions()] == [State.ARMED]
    desk.around.version_on_disk(4)
    desk.around.release(3, 4)
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.SUPPRESSED, "superseded")
    assert desk.around.named() == (3, 4)
    assert desk.around.serving.reloads == 0


def test_a_file_that_somebody_changed_ends_the_plan_before_any_server_follows(desk: Bench) -> None:
    desk.post(alert())
    desk.turn(3)
    text = desk.around.models_config.read_text()
    desk.around.models_config.write_text(text.replace("versions: 2 versions: 3", "versions: 1 versions: 3"))
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.SUPPRESSED, "superseded")
    assert desk.around.named() == (1, 3)
    assert desk.around.serving.reloads == 0


def test_a_server_that_moved_on_by_itself_ends_the_plan(desk: Bench) -> None:
    desk.post(alert())
    desk.turn(3)
    desk.around.serving.models["digits"][3] = 50
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.SUPPRESSED, "superseded")
    assert desk.around.named() == (2, 3)
    assert desk.around.serving.reloads == 0


def test_a_target_whose_files_vanish_after_the_plan_is_not_switched_to(desk: Bench) -> None:
    desk.post(alert())
    desk.turn(3)
    (desk.around.folder / "store" / "digits" / "2" / "saved_model.pb").unlink()
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "no_eligible_target")
    assert desk.around.named() == (2, 3)
    assert desk.around.serving.reloads == 0


def test_a_server_that_does_not_answer_is_waited_for_and_then_paged(desk: Bench) -> None:
    desk.around.serving.die()
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "server_unreachable")


def test_without_a_config_file_there_is_no_way_to_act(tmp_path: Path) -> None:
    with surroundings(tmp_path, with_config_file=False) as around, bench(around) as desk:
        desk.watch(60)
        around.serving.models["digits"][3] = 30
        desk.watch(5)
        around.bad_release()
        desk.post(alert())
        action = desk.run_until_ended()
        assert (action.state, action.reason) == (State.NEEDS_HUMAN, "no_model_config_file")
        assert around.serving.reloads == 0


def test_a_models_config_that_cannot_be_replaced_is_a_failure_without_effect(desk: Bench) -> None:
    desk.around.models_config.with_name("models.config.lock").unlink(missing_ok=True)
    desk.around.models_config.with_name("models.config.lock").mkdir()
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.FAILED, "models_config")
    assert desk.around.serving.reloads == 0


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ({"airbag_action": None}, "refused: no label airbag_action=rollback"),
        ({"airbag_action": "page"}, "refused: no label airbag_action=rollback"),
        ({"model_version": None}, "refused: without the label model_version"),
        ({"version": "switching"}, "refused: 'switching' is no version number"),
        ({"version": "-1"}, "refused: '-1' is no version number"),
        ({"name": "SomethingElse"}, "refused: no machine answers the alert 'SomethingElse'"),
        ({"model": "unknown"}, "refused: exporters.yml has no model 'unknown' on 'main'"),
    ],
)
def test_an_unusable_alert_is_recorded_with_the_reason_and_the_rest_still_counts(
    desk: Bench, changes: dict[str, Any], result: str
) -> None:
    desk.post(alert(**changes), alert())
    desk.settle()
    assert desk.receiver.journal.deliveries.results(1) == [result, "opened: action 1"]
    assert len(desk.actions()) == 1


def test_people_hear_of_every_end_once_through_alertmanager(desk: Bench) -> None:
    desk.around.alertmanager.status = 503
    desk.post(alert())
    desk.run_until_ended()
    assert desk.receiver.notifier.empty() is True
    desk.around.alertmanager.status = 200
    desk.clock.time += 7200  # an outcome that waited long must not arrive as resolved
    assert desk.receiver.notifier.empty() is False
    assert desk.receiver.notifier.empty() is False
    (told,) = desk.around.alertmanager.alerts
    assert told["labels"] == {
        "alertname": "AirbagRollbackSucceeded", "severity": "info", "serving": "main", "model_name": "digits",
        "model_version": "3", "action_id": "1",
    }  # fmt: skip
    assert datetime.fromisoformat(told["endsAt"]).timestamp() > desk.clock.time
    assert set(told["annotations"]) == {"summary", "description", "runbook_url"}


def test_an_alert_that_repeats_without_news_is_told_once(desk: Bench) -> None:
    desk.around.write_policy(mode="observe")
    desk.receiver.reload()
    for _ in range(3):
        desk.post(alert())
        desk.run_until_ended()
    desk.receiver.notifier.empty()
    assert desk.around.alertmanager.names() == ["AirbagRollbackSuppressed"]


def test_another_writer_who_never_lets_go_is_waited_for_and_then_a_person_is_told(desk: Bench) -> None:
    taken, free = threading.Event(), threading.Event()

    def write_for_ever() -> None:
        with ModelConfigFile(desk.around.models_config).locked():
            taken.set()
            free.wait(60)

    other = threading.Thread(target=write_for_ever)
    other.start()
    try:
        taken.wait(10)
        desk.post(alert())
        desk.turn(5)
        assert [action.state for action in desk.actions()] == [State.BLOCKED]
        desk.watch(61)
        desk.settle()
    finally:
        free.set()
        other.join()
    (action,) = desk.actions()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "file_locked")
    assert desk.around.serving.reloads == 0


@pytest.fixture
def pair(around: Surroundings) -> Iterator[tuple[Bench, StatefulServing]]:
    """A bench whose serving has two servers, with version 3 just released on both, and bad; and the second server."""
    with stateful_serving() as second:
        second.load(around.models_config.read_text())
        file = around.folder / "exporters.yml"
        one = f'{{name: one, grpc: "{around.serving.address}"}}'
        file.write_text(file.read_text().replace(one, f'{one}, {{name: two, grpc: "{second.address}"}}'))
        with bench(around) as found:
            found.watch(60)
            around.release(2, 3)
            second.load(around.models_config.read_text())
            found.watch(5)
            around.bad_release()
            yield found, second


def test_every_server_of_the_group_gets_the_same_config(pair: tuple[Bench, StatefulServing]) -> None:
    desk, second = pair
    desk.post(alert())
    assert desk.run_until_ended().state is State.SUCCEEDED
    assert desk.around.serving.switches == second.switches == [("digits", (2,))]


def test_one_server_that_refuses_keeps_the_others_not_waiting_and_is_told_again(
    pair: tuple[Bench, StatefulServing],
) -> None:
    desk, second = pair
    desk.around.serving.refuse_reload = (grpc.StatusCode.INTERNAL, "not now")
    desk.post(alert())
    desk.settle()
    assert [action.state for action in desk.actions()] == [State.UNKNOWN]
    assert second.switches == [("digits", (2,))]
    desk.around.serving.refuse_reload = None
    assert desk.run_until_ended().state is State.SUCCEEDED
    assert desk.around.serving.switches == second.switches == [("digits", (2,))]


def test_servers_that_follow_a_release_one_by_one_do_not_end_the_rollback(pair: tuple[Bench, StatefulServing]) -> None:
    desk, second = pair
    second.models["digits"][3] = 20
    desk.post(alert())
    desk.turn(3)
    assert desk.actions()[0].expected == (2, 3)
    second.models["digits"][3] = 30
    assert desk.run_until_ended().state is State.SUCCEEDED
    assert desk.around.serving.switches == second.switches == [("digits", (2,))]


def test_a_switch_counts_only_when_every_server_made_it(pair: tuple[Bench, StatefulServing]) -> None:
    desk, second = pair
    second.stuck.add(2)
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "switch_unverified")
    assert "two: 3 AVAILABLE, 2 LOADING" in action.text


def test_a_server_that_falls_back_while_it_is_watched_is_not_stable(desk: Bench) -> None:
    desk.around.write_policy(stable_for="5s")
    desk.receiver.reload()
    desk.post(alert())
    desk.settle()
    desk.watch(3)
    desk.settle()
    desk.around.serving.models["digits"][2] = 20
    desk.settle()
    desk.around.serving.models["digits"][2] = 30
    desk.watch(3)
    desk.settle()
    assert [action.state for action in desk.actions()] == [State.VERIFY_MECHANISM]
    desk.watch(5)
    desk.settle()
    assert [action.state for action in desk.actions()] == [State.VERIFY_OUTCOME]


def test_a_version_that_is_still_coming_up_keeps_the_switch_from_being_done(desk: Bench) -> None:
    desk.post(alert())
    desk.turn(5)
    desk.around.serving.models["digits"][4] = 20
    for _ in range(4):
        desk.watch(1)
        desk.settle()
    assert [action.state for action in desk.actions()] == [State.VERIFY_MECHANISM]


def test_a_release_while_the_receiver_was_down_is_known_when_its_alert_is_judged(around: Surroundings) -> None:
    with bench(around) as desk:
        desk.watch(60)
        desk.restart()
        around.release(2, 3)
        around.bad_release()
        desk.clock.time += 5
        desk.post(alert())
        desk.turn(2)
        assert desk.actions()[0].state is State.PLANNED


def test_someone_elses_hand_after_an_unclear_touch_is_left_to_a_person(desk: Bench) -> None:
    desk.around.serving.refuse_reload = (grpc.StatusCode.INTERNAL, "not now")
    desk.post(alert())
    desk.settle()
    desk.around.serving.refuse_reload = None
    desk.around.version_on_disk(4)
    desk.around.release(3, 4)
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "changed_by_others")
    assert desk.around.named() == (3, 4)


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
