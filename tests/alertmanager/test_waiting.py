"""Actions that wait for a person or a guard: what they wait for, what ends the waiting, and what people hear."""

from __future__ import annotations

from typing import Any

import pytest

from airbag_rollback.engine.states import State
from airbag_rollback.people import NotNow
from tests.fakes.alertmanager_api import alert
from tests.fakes.rollback import Bench
from tests.fakes.wait import until


def told(desk: Bench) -> list[tuple[str, bool]]:
    """Names of the alerts for people so far, oldest first, and whether each says that it is over."""
    alerts: list[dict[str, Any]] = [message.alert for message in desk.receiver.journal.outbox.pending()]
    return [
        (each["labels"]["alertname"].removeprefix("AirbagRollback"), each["endsAt"] <= each["startsAt"])
        for each in alerts
    ]


def reload(desk: Bench, **changes: str) -> None:
    desk.around.write_policy(**changes)
    desk.receiver.reload()


def waiting(desk: Bench) -> tuple[State, str]:
    desk.settle()
    action = desk.actions()[-1]
    return action.state, action.reason


def test_approval_is_waited_for_and_then_acted_on(desk: Bench) -> None:
    reload(desk, mode="approve")
    desk.post(alert())
    assert waiting(desk) == (State.AWAITING_APPROVAL, "approval")
    desk.watch(30)
    assert waiting(desk) == (State.AWAITING_APPROVAL, "approval")
    assert desk.around.serving.switches == []
    desk.receiver.people.approve(1, "ann", "it is bad")
    action = desk.run_until_ended()
    assert (action.state, action.approved_by) == (State.SUCCEEDED, "ann")
    assert told(desk) == [("AwaitingApproval", False), ("AwaitingApproval", True), ("Succeeded", False)]


def test_a_no_ends_it_and_holds_the_release_until_it_is_cleared(desk: Bench) -> None:
    reload(desk, mode="approve")
    desk.post(alert())
    desk.settle()
    desk.receiver.people.reject(1, "ann", "labels are wrong")
    desk.post(alert())
    desk.settle()
    assert [(each.state, each.text) for each in desk.actions()] == [
        (State.CANCELLED, "ann said no: labels are wrong")
    ]  # fmt: skip
    desk.receiver.people.clear(1, "ann")
    desk.post(alert())
    desk.settle()
    assert [each.state for each in desk.actions()] == [State.CANCELLED, State.AWAITING_APPROVAL]


def test_nobody_s_answer_calls_a_person_in_time(desk: Bench) -> None:
    reload(desk, mode="approve", approve_within="5m")
    desk.post(alert())
    desk.settle()
    desk.watch(299)
    assert waiting(desk)[0] is State.AWAITING_APPROVAL
    desk.watch(2)
    assert waiting(desk) == (State.NEEDS_HUMAN, "approval_expired")


def test_what_passes_while_approval_is_waited_for_needs_none_any_more(desk: Bench) -> None:
    reload(desk, mode="approve")
    desk.post(alert())
    desk.settle()
    desk.around.prometheus.errors(3, 0.01)
    desk.watch(2)
    assert waiting(desk) == (State.SUPPRESSED, "good")
    assert ("AwaitingApproval", True) in told(desk)


def test_an_approval_does_not_make_good_bad(desk: Bench) -> None:
    reload(desk, mode="approve")
    desk.post(alert())
    desk.settle()
    desk.around.prometheus.errors(3, 0.01)
    desk.watch(2)
    desk.receiver.people.approve(1, "ann")
    assert waiting(desk) == (State.SUPPRESSED, "good")
    assert desk.around.serving.switches == []


def test_a_restart_forgets_neither_the_question_nor_the_answer(desk: Bench) -> None:
    reload(desk, mode="approve")
    desk.post(alert())
    desk.settle()
    desk.restart()
    assert waiting(desk) == (State.AWAITING_APPROVAL, "approval")
    desk.receiver.people.approve(1, "ann")
    desk.restart()
    assert desk.run_until_ended().state is State.SUCCEEDED


def test_a_pause_holds_until_it_is_ended(desk: Bench) -> None:
    desk.receiver.people.pause("main", "digits", None, "ann", "maintenance")
    desk.post(alert())
    assert waiting(desk) == (State.BLOCKED, "paused")
    desk.watch(600)
    assert waiting(desk) == (State.BLOCKED, "paused")
    assert told(desk) == [("Blocked", False)]
    desk.receiver.people.resume("main", "digits", "ann")
    desk.watch(2)
    assert desk.run_until_ended().state is State.SUCCEEDED
    assert told(desk) == [("Blocked", False), ("Blocked", True), ("Succeeded", False)]


def test_a_pause_ends_by_itself_at_its_time(desk: Bench) -> None:
    desk.receiver.people.pause("*", "*", 60.0, "ann", "maintenance")
    desk.post(alert())
    desk.watch(55)
    assert waiting(desk) == (State.BLOCKED, "paused")
    desk.watch(10)
    assert desk.run_until_ended().state is State.SUCCEEDED


def test_a_pause_on_another_model_holds_nothing(desk: Bench) -> None:
    desk.receiver.people.pause("main", "other", None, "ann", "maintenance")
    desk.post(alert())
    assert desk.run_until_ended().state is State.SUCCEEDED


def test_what_is_held_back_for_too_long_becomes_a_person_s_matter(desk: Bench) -> None:
    reload(desk, blocked_within="10m")
    desk.receiver.people.pause("*", "*", None, "ann", "maintenance")
    desk.post(alert())
    desk.settle()
    desk.watch(599)
    assert waiting(desk)[0] is State.BLOCKED
    desk.watch(3)
    assert waiting(desk) == (State.NEEDS_HUMAN, "paused")


def test_a_person_s_approval_passes_what_holds_back(desk: Bench) -> None:
    desk.receiver.people.pause("*", "*", None, "ann", "maintenance")
    desk.post(alert())
    desk.settle()
    desk.receiver.people.approve(1, "ann", "but not this")
    assert desk.run_until_ended().state is State.SUCCEEDED


def test_a_freeze_window_holds_and_says_until_when(desk: Bench) -> None:
    freeze = "{freeze: [{name: sale, from: 1970-01-12T13:46:40Z, to: 1970-01-12T14:00:00Z}]}"
    reload(desk, guards=freeze)
    desk.post(alert())
    assert waiting(desk) == (State.BLOCKED, "frozen")
    assert desk.actions()[-1].blocked_until == 1_000_000 + 13 * 60 + 20
    desk.watch(900)
    assert desk.run_until_ended().state is State.SUCCEEDED


def again(desk: Bench, version: int) -> None:
    """Release one more bad version after a rollback and let its alert come."""
    desk.around.version_on_disk(version)
    desk.around.release(2, version)
    desk.around.prometheus.errors(version, 0.9)
    desk.watch(5)
    desk.post(alert(version))


@pytest.mark.parametrize(
    ("guards", "reason", "waits"),
    [
        ("{cool_down: 10m}", "cool_down", 600),
        ("{cool_down: 0s, budget: {effects: 1, within: 20m}}", "budget", 1200),
        ("{cool_down: 0s, breaker: {effects: 1, within: 15m}}", "breaker", 900),
    ],
)
def test_a_second_rollback_waits_for_its_limit_also_across_a_restart(
    desk: Bench, guards: str, reason: str, waits: int
) -> None:
    reload(desk, guards=guards)
    desk.post(alert())
    first = desk.run_until_ended()
    again(desk, 4)
    assert waiting(desk) == (State.BLOCKED, reason)
    desk.restart()
    assert waiting(desk) == (State.BLOCKED, reason)
    assert first.armed_at is not None
    assert desk.actions()[-1].blocked_until == first.armed_at + waits
    desk.watch(waits)
    assert desk.run_until_ended().state is State.SUCCEEDED
    assert desk.around.named() == (2,)


def test_without_limits_a_second_rollback_follows_at_once(desk: Bench) -> None:
    reload(desk, guards="{cool_down: 0s, budget: null, breaker: null}")
    desk.post(alert())
    desk.run_until_ended()
    again(desk, 4)
    assert desk.run_until_ended().state is State.SUCCEEDED


def test_an_order_is_carried_out_without_a_verdict_and_proven_like_any(desk: Bench) -> None:
    desk.around.prometheus.errors(3, 0.01)
    desk.receiver.people.roll_back(None, "digits", None, "ann", "customers call")
    action = desk.run_until_ended()
    assert (action.state, action.target_version, action.asked_by) == (State.SUCCEEDED, 2, "ann")
    assert desk.around.named() == (2,)


def test_an_order_may_name_a_version_that_has_no_proof_yet_but_none_that_cannot_be_served(desk: Bench) -> None:
    desk.around.serving.models["other"] = {7: 50}
    with pytest.raises(NotNow, match="nothing serves"):
        desk.receiver.people.roll_back("main", "other", None, "ann")
    desk.receiver.people.roll_back("main", "digits", 9, "ann")
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "no_eligible_target")
    assert "9 is not known here" in action.text
    desk.receiver.people.clear(action.id, "ann")
    desk.receiver.people.roll_back("main", "digits", 1, "ann")
    assert desk.run_until_ended().target_version == 1
    assert desk.around.named() == (1,)


def test_an_order_for_a_quarantined_version_is_refused(desk: Bench) -> None:
    desk.receiver.people.quarantine("main", "digits", 1, "ann", "leaks personal data")
    desk.receiver.people.roll_back("main", "digits", 1, "ann")
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "no_eligible_target")
    assert "is quarantined: by ann, leaks personal data" in action.text


def test_a_quarantined_version_is_passed_over(desk: Bench) -> None:
    desk.receiver.people.quarantine("main", "digits", 2, "ann", "leaks personal data")
    desk.post(alert())
    desk.settle()
    assert waiting(desk) == (State.NEEDS_HUMAN, "no_eligible_target")
    assert desk.around.serving.switches == []


def two_versions_before(desk: Bench) -> None:
    """1 and 2 have proof, 3 serves and is bad, and so is 2 by now."""
    desk.around.release(1)
    desk.watch(30)
    desk.around.release(1, 2)
    desk.watch(30)
    desk.around.release(2, 3)
    desk.watch(5)
    desk.around.prometheus.errors(2, 0.9)
    desk.around.prometheus.errors(1, 0.01)
    desk.around.prometheus.errors(1, 0.01, history=True)


def test_what_does_not_help_is_followed_by_one_version_further_back(desk: Bench) -> None:
    two_versions_before(desk)
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.target_version, action.attempt, action.tried) == (State.SUCCEEDED, 1, 2, (2,)), (
        action.text
    )
    assert [each for _, each in desk.around.serving.switches][-2:] == [(2,), (1,)]
    served = {each.version: each.rolled_back for each in desk.receiver.journal.ledger.served("main", "digits", 0.0)}
    assert served == {1: False, 2: True, 3: True}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"attempts_max": "1"}, "went back to 2, which is bad as well"),
        ({"guards": "{budget: {effects: 1, within: 1h}}"}, "not further: 1 rollbacks of this model within"),
    ],
)
def test_going_further_back_has_its_limits_too(desk: Bench, changes: dict[str, str], text: str) -> None:
    reload(desk, **changes)
    two_versions_before(desk)
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason, desk.around.named()) == (State.NEEDS_HUMAN, "ineffective", (2,))
    assert text in action.text


def test_going_further_back_needs_a_version_that_did_well_and_no_pause(desk: Bench) -> None:
    two_versions_before(desk)
    desk.around.prometheus.errors(1, 0.9, history=True)
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason, desk.around.named()) == (State.NEEDS_HUMAN, "ineffective", (2,))
    assert "so was the version before" in action.text


def test_a_pause_in_the_middle_stops_before_the_next_touch(desk: Bench) -> None:
    two_versions_before(desk)
    desk.post(alert())
    desk.settle()
    assert waiting(desk)[0] is State.VERIFY_MECHANISM
    desk.receiver.people.pause("*", "*", None, "ann", "enough")
    action = desk.run_until_ended()
    assert (action.state, action.reason, desk.around.named()) == (State.NEEDS_HUMAN, "ineffective", (2,))
    assert "rollbacks are paused: by ann: enough" in action.text


@pytest.mark.parametrize("state", [State.PLANNED, State.LEASED, State.ARMED, State.EXECUTING, State.VERIFY_OUTCOME])
def test_a_restart_in_the_middle_of_going_further_back_ends_where_it_should(desk: Bench, state: State) -> None:
    two_versions_before(desk)
    desk.post(alert())
    for _ in range(600):
        desk.turn()
        action = desk.actions()[-1]
        if action.tried and action.state is state:
            break
        desk.watch(0.5)
    desk.restart()
    action = desk.run_until_ended()
    assert (action.state, action.target_version, desk.around.named()) == (State.SUCCEEDED, 1, (1,)), action.text
    assert [each for _, each in desk.around.serving.switches][-2:] == [(2,), (1,)]


def test_late_alerts_about_a_version_that_was_taken_away_start_nothing_and_tell_nobody(desk: Bench) -> None:
    desk.post(alert())
    desk.run_until_ended()
    desk.watch(2)
    desk.post(alert(name="AirbagLatencyHigh"))
    desk.settle()
    assert len(desk.actions()) == 1
    assert told(desk) == [("Succeeded", False)]


def test_a_switch_that_never_got_done_holds_its_release_until_a_person_clears_it(desk: Bench) -> None:
    desk.around.serving.stuck.add(2)
    desk.around.serving.models["digits"] = {3: 30, 2: 50}
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason, desk.around.named()) == (State.NEEDS_HUMAN, "switch_unverified", (2,))
    desk.post(alert())
    desk.settle()
    assert len(desk.actions()) == 1
    desk.receiver.people.clear(1, "ann")
    desk.post(alert())
    desk.settle()
    assert len(desk.actions()) == 2


def test_alerts_in_the_middle_of_a_switch_are_taken_for_more_reports(desk: Bench) -> None:
    desk.around.serving.stuck.add(2)
    desk.around.serving.models["digits"] = {3: 30, 2: 50}
    desk.post(alert())
    desk.settle()
    desk.watch(2)
    desk.post(alert(), alert(name="AirbagLatencyHigh"))
    desk.settle()
    assert [each.state for each in desk.actions()] == [State.VERIFY_MECHANISM]


def test_a_slow_server_of_one_model_holds_up_no_other(desk: Bench) -> None:
    desk.around.serving.reloads_open.clear()
    desk.post(alert())

    def turned(*states: State) -> bool:
        desk.receiver.worker.turn(0.05)
        return [each.state for each in desk.actions()] == list(states)

    until(lambda: turned(State.EXECUTING), timeout=60, what="the reload to be held")
    desk.receiver.people.roll_back("main", "other", None, "ann")  # which has one version
    until(lambda: turned(State.EXECUTING, State.NEEDS_HUMAN), timeout=60, what="the other model's end")
    desk.around.serving.reloads_open.set()
    assert desk.run_until_ended().id == 2
    assert desk.actions()[0].state is State.SUCCEEDED


def test_trouble_that_has_stopped_is_waited_for_to_leave_the_window(desk: Bench) -> None:
    desk.around.prometheus.values[("lately errors", "3", False)] = 0.0
    desk.post(alert())
    assert waiting(desk) == (State.BLOCKED, "has_stopped")
    desk.watch(10)
    desk.around.prometheus.errors(3, 0.0)
    assert waiting(desk) == (State.SUPPRESSED, "good")
    assert desk.around.serving.switches == []


def test_trouble_that_comes_back_is_acted_on(desk: Bench) -> None:
    desk.around.prometheus.values[("lately errors", "3", False)] = 0.0
    desk.post(alert())
    assert waiting(desk) == (State.BLOCKED, "has_stopped")
    desk.around.prometheus.values[("lately errors", "3", False)] = 0.5
    assert desk.run_until_ended().state is State.SUCCEEDED


def test_trouble_that_stays_away_while_the_window_remembers_it_calls_nobody(desk: Bench) -> None:
    desk.around.prometheus.values[("lately errors", "3", False)] = 0.0
    desk.post(alert())
    desk.settle()
    desk.watch(31)
    assert waiting(desk) == (State.SUPPRESSED, "has_stopped")
