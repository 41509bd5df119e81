"""Drills go the whole way of a rollback, and say where the way is broken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from airbag.config import load
from airbag.errors import ConfigError
from airbag_rollback import drill
from airbag_rollback.config import load_settings
from airbag_rollback.drill_clock import DrillStanding
from airbag_rollback.engine.guards import Past
from airbag_rollback.engine.states import State
from airbag_rollback.people import NotNow
from airbag_rollback.policy import Policy
from airbag_rollback.records import Action
from tests.fakes.alertmanager_api import alert
from tests.fakes.rollback import Bench, Surroundings, bench

SHADOW = "{shadow: {serving: main, model: digits}}"


@pytest.fixture
def steady(desk: Bench) -> Bench:
    """Version 3 serves beside a proven 2, all is well, and an exporter sees the server."""
    desk.around.prometheus.values.clear()
    desk.around.prometheus.values[("failing", "3", False)] = 0
    return desk


def ordered(desk: Bench, *, shadow: bool = False) -> Action:
    return desk.receiver.people.drill("main", "digits", "ada", "Monday", shadow=shadow)


def posted(desk: Bench) -> dict[str, Any]:
    """The drill's own alert, as Alertmanager got it."""
    desk.receiver.notifier.empty()
    return [each for each in desk.around.alertmanager.alerts if each["labels"]["alertname"] == "AirbagDrill"][-1]


def comes_back(desk: Bench, told: dict[str, Any], **labels: str) -> None:
    """Alertmanager delivers it."""
    desk.post(alert() | {"labels": told["labels"] | labels, "startsAt": told["startsAt"]})
    desk.turn()


def drilled(desk: Bench, *, shadow: bool = False) -> Action:
    """A drill, to its end."""
    ordered(desk, shadow=shadow)
    comes_back(desk, posted(desk))
    return desk.run_until_ended()


def results(desk: Bench) -> list[str]:
    """What became of every alert that was delivered."""
    rows = desk.receiver.journal.database.rows("SELECT results FROM deliveries WHERE results IS NOT NULL ORDER BY id")
    return [row[0] for row in rows]


def failed(desk: Bench, action: Action) -> str:
    stage = drill.failed_at(action, desk.receiver.journal.outbox.posted_at(action.id))
    assert stage is not None
    return stage.name


def test_a_drill_goes_the_whole_way_and_touches_nothing(steady: Bench) -> None:
    action = ordered(steady)
    comes_back(steady, posted(steady))
    done = steady.run_until_ended()
    assert (done.id, done.state, done.target_version) == (action.id, State.SUCCEEDED, 2)
    assert (steady.around.serving.reloads, steady.around.named()) == (0, (2, 3))
    found = drill.stages(done, steady.receiver.journal.outbox.posted_at(done.id))
    assert [each.name for each in found if each.seconds is not None] == list(drill.STAGES)
    assert drill.failed_at(done, None) is None
    steady.receiver.notifier.empty()
    assert steady.around.alertmanager.names()[-1] == "AirbagRollbackDrillSucceeded"


def test_nothing_happens_before_its_own_alert_came_back_and_after_the_deadline_it_failed(steady: Bench) -> None:
    ordered(steady)
    posted(steady)
    steady.watch(29)
    steady.settle()
    assert [each.state for each in steady.actions()] == [State.RECEIVED]
    done = steady.run_until_ended()
    assert (done.state, done.reason, failed(steady, done)) == (State.NEEDS_HUMAN, "alert_lost", "received")
    steady.receiver.notifier.empty()
    assert steady.around.alertmanager.names()[-1] == "AirbagRollbackDrillFailed"


def test_a_restart_does_not_stand_in_for_the_alert(steady: Bench) -> None:
    ordered(steady)
    steady.restart()
    steady.settle()
    assert steady.actions()[0].decided_at is None
    comes_back(steady, posted(steady))
    assert steady.run_until_ended().state is State.SUCCEEDED


def test_without_an_alertmanager_the_drill_failed_at_the_posting(steady: Bench) -> None:
    steady.around.alertmanager.status = 500
    ordered(steady)
    steady.receiver.notifier.empty()
    assert failed(steady, steady.run_until_ended()) == "posted"


@pytest.mark.parametrize(
    "labels",
    [{"drill": "1-0.0"}, {"drill": "nonsense"}, {"drill": "77-1.0"}, {"model_version": "2"}, {"model_name": "other"}],
    ids=["another order", "no order", "unknown", "another version", "another model"],
)
def test_a_drill_alert_that_nobody_ordered_is_refused_and_counted(steady: Bench, labels: dict[str, str]) -> None:
    ordered(steady)
    comes_back(steady, posted(steady), **labels)
    assert "nobody ordered the drill" in results(steady)[-1]
    assert steady.receiver.metrics.alerts.labels("refused")._value.get() == 1
    assert [each.alert_at for each in steady.actions()] == [None]


def test_the_alert_may_come_as_often_as_it_likes(steady: Bench) -> None:
    done = drilled(steady)
    comes_back(steady, posted(steady))
    assert "repeated: action 1 has it" in results(steady)[-1]
    assert steady.actions() == [done]


def test_prometheus_is_asked_for_everything_that_an_alert_would_rest_on(steady: Bench) -> None:
    done = drilled(steady)
    asked = " ".join(each.get("query", "") for each in done.evidence)
    for part in ("errors_per_request", "slow_per_answer", "quality_accuracy", "drop_lower", "probe_success"):
        assert part in asked
    assert "version_error" in asked


@pytest.mark.parametrize("broken", ["no answer", "nothing of the server"])
def test_monitoring_that_does_not_answer_fails_the_drill(steady: Bench, broken: str) -> None:
    if broken == "no answer":
        steady.around.prometheus.status = 503
    else:
        steady.around.prometheus.values.clear()
    done = drilled(steady)
    assert (done.state, done.reason, failed(steady, done)) == (State.NEEDS_HUMAN, "monitoring_silent", "decided")


def test_a_model_without_a_version_to_go_back_to_fails_the_drill_at_the_decision(steady: Bench) -> None:
    steady.receiver.people.quarantine("main", "digits", 2, "ada", "wrong labels")
    steady.receiver.people.quarantine("main", "digits", 1, "ada", "wrong labels")
    done = drilled(steady)
    assert (done.reason, failed(steady, done)) == ("no_eligible_target", "decided")


def test_a_drill_leaves_no_trace_in_what_real_rollbacks_are_decided_by(steady: Bench) -> None:
    drilled(steady)
    probe = Action(99, "k", "main", "digits", 3, 1, "AirbagErrorRatioHigh", State.RECEIVED, 1, 0.0)
    assert steady.receiver.journal.actions.past(probe) == Past()
    served = steady.receiver.journal.ledger.served("main", "digits", steady.clock.now())
    assert not any(each.rolled_back for each in served)
    steady.around.bad_release()
    steady.post(alert())
    done = steady.run_until_ended()
    assert (done.state, done.target_version, steady.around.named()) == (State.SUCCEEDED, 2, (2,))


def test_a_drill_that_failed_is_no_model_that_waits_for_a_person(steady: Bench) -> None:
    steady.around.prometheus.status = 503
    drilled(steady)
    assert steady.receiver.journal.actions.latest_that_need_a_human() == []


def test_a_real_drill_goes_back_on_the_shadow_and_puts_everything_back(steady: Bench) -> None:
    steady.around.write_policy(drill=SHADOW)
    steady.receiver.reload()
    before = steady.around.models_config.read_text().partition("\n")[2]
    done = drilled(steady, shadow=True)
    assert (done.state, done.target_version) == (State.SUCCEEDED, 2)
    assert [versions for _, versions in steady.around.serving.switches if _ == "digits"][-2:] == [(2,), (2, 3)]
    assert steady.around.named() == (2, 3)
    assert before in steady.around.models_config.read_text()
    served = steady.receiver.journal.ledger.served("main", "digits", steady.clock.now())
    assert not any(each.rolled_back for each in served)


def test_a_receiver_that_dies_in_a_real_drill_puts_back_what_was_there(steady: Bench) -> None:
    steady.around.write_policy(drill=SHADOW)
    steady.receiver.reload()
    ordered(steady, shadow=True)
    comes_back(steady, posted(steady))
    while steady.around.named() != (2,):
        steady.turn()
    steady.restart()
    assert steady.run_until_ended().state is State.SUCCEEDED
    assert steady.around.named() == (2, 3)


def test_a_real_drill_is_refused_on_anything_but_the_shadow_in_steady_state(steady: Bench) -> None:
    with pytest.raises(NotNow, match=r"policy\.yml names none"):
        ordered(steady, shadow=True)
    steady.around.write_policy(drill="{shadow: {serving: main, model: other}}")
    steady.receiver.reload()
    with pytest.raises(NotNow, match="that is main/other"):
        ordered(steady, shadow=True)
    with pytest.raises(NotNow, match="needs two versions"):
        steady.receiver.people.drill("main", "other", "ada", shadow=True)
    steady.around.write_policy(drill=SHADOW, landing="quarantine-directory")
    steady.receiver.reload()
    with pytest.raises(NotNow, match="landing quarantine-directory"):
        ordered(steady, shadow=True)
    assert steady.actions() == []


def test_metrics_tell_the_last_drill_that_went_the_whole_way_after_a_restart_too(around: Surroundings) -> None:
    around.write_policy(drill="{every: 1h, model: digits}")
    with scheduled(around) as desk:
        begun = desk.clock.now()
        families = exported(desk)
        assert families["airbag_rollback_last_successful_drill_timestamp_seconds"] == []
        assert families["airbag_rollback_drill_awaited_since_timestamp_seconds"] == [({}, begun)]
        done = due(desk)
        desk.restart()
        families = exported(desk)
        assert families["airbag_rollback_last_successful_drill_timestamp_seconds"] == [({}, done.ended_at)]
        assert families["airbag_rollback_drill_awaited_since_timestamp_seconds"] == [({}, done.ended_at)]
        assert families["airbag_rollback_drill_interval_seconds"] == [({}, 3600)]
        staged = [labels["stage"] for labels, _ in families["airbag_rollback_drill_stage_seconds"]]
        assert staged == list(drill.STAGES)
        around.write_policy(drill="{}")
        desk.receiver.reload()
        assert "airbag_rollback_drill_interval_seconds" not in exported(desk)


@contextmanager
def scheduled(around: Surroundings) -> Iterator[Bench]:
    """A receiver that has just been told to drill by itself."""
    with bench(around) as desk:
        desk.released()
        desk.around.prometheus.values[("failing", "3", False)] = 0
        desk.receiver.drill_clock.look()
        yield desk


def due(desk: Bench) -> Action:
    """An hour passes; the drill that follows, to its end."""
    desk.clock.time += 3600
    desk.watch(1)
    desk.receiver.drill_clock.look()
    comes_back(desk, posted(desk))
    return desk.run_until_ended()


def exported(desk: Bench) -> dict[str, list[tuple[dict[str, str], float]]]:
    """What is known of drills, as a scrape shows it."""
    standing = DrillStanding(lambda: desk.receiver.settings, desk.receiver.journal, desk.clock)
    return {each.name: [(dict(s.labels), s.value) for s in each.samples] for each in standing.collect()}


def test_drills_are_made_as_often_as_the_policy_says_and_not_again_after_a_restart(around: Surroundings) -> None:
    around.write_policy(drill="{every: 1h, model: digits}")
    with scheduled(around) as desk:
        assert desk.actions() == []
        done = due(desk)
        assert (done.asked_by, done.state) == ("airbag", State.SUCCEEDED)
        desk.restart()
        desk.receiver.drill_clock.look()
        assert len(desk.actions()) == 1
        due(desk)
        assert len(desk.actions()) == 2


def test_the_policy_names_models_that_are_there(around: Surroundings) -> None:
    around.write_policy(drill="{every: 1h, model: dogs, shadow: {serving: main, model: cats}}")
    with pytest.raises(ConfigError, match=r"(?s)no model \*/dogs.*no model main/cats"):
        load_settings(around.policy_file)
    around.write_policy(drill="{every: 1h}")
    with pytest.raises(ConfigError, match="both `every` and `model`"):
        load(around.policy_file, Policy)
