"""What the receiver leaves alone: nothing moves without a verdict, a release to blame and a version proven good."""

from __future__ import annotations

import pytest

from airbag_rollback.engine.states import State
from tests.fakes.alertmanager_api import alert
from tests.fakes.rollback import Bench, Surroundings, bench


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
