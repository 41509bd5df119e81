"""The series that dashboards mark times by."""

from __future__ import annotations

from prometheus_client.core import GaugeMetricFamily

from airbag_rollback.engine.states import State
from airbag_rollback.standing import Standing
from tests.alertmanager_pages.conftest import Office
from tests.fakes.rollback import alert

LAST = "airbag_rollback_last_action_timestamp_seconds"
SINCE = "airbag_rollback_serving_since_timestamp_seconds"


def families(office: Office) -> dict[str, GaugeMetricFamily]:
    receiver = office.desk.receiver
    standing = Standing(lambda: receiver.settings, receiver.path, receiver.journal, lambda: None)
    return {family.name: family for family in standing.collect()}


def test_before_any_action_has_ended_no_model_has_a_last_one(office: Office) -> None:
    office.desk.post(alert())
    office.desk.turn()
    assert families(office)[LAST].samples == []


def test_the_latest_action_that_ended_is_told_with_its_outcome_and_its_way(office: Office) -> None:
    office.desk.post(alert())
    action = office.desk.run_until_ended()
    assert action.state is State.SUCCEEDED
    (sample,) = families(office)[LAST].samples
    assert sample.labels == {
        "serving": "main", "model_name": "digits", "action_id": "1", "outcome": "succeeded", "reason": "recovered",
        "from_version": "3", "to_version": "2",
    }  # fmt: skip
    assert sample.value == action.ended_at


def test_a_later_action_takes_the_place_of_the_one_before_and_a_drill_does_not(office: Office) -> None:
    office.desk.post(alert())
    office.desk.run_until_ended()
    office.desk.receiver.people.roll_back("main", "digits", 1, "olga")
    second = office.desk.run_until_ended()
    office.desk.receiver.people.drill("main", "other", "olga")
    office.desk.run_until_ended()
    samples = families(office)[LAST].samples
    assert [(each.labels["action_id"], each.value) for each in samples] == [(str(second.id), second.ended_at)]


def test_each_version_that_serves_is_told_with_the_time_since_when(office: Office) -> None:
    started = office.desk.clock.time - 5
    samples = {tuple(each.labels.values()): each.value for each in families(office)[SINCE].samples}
    assert samples["main", "digits", "3"] == started
    assert set(samples) == {("main", "digits", "3"), ("main", "other", "7")}
