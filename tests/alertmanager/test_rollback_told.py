"""What people hear: of every end once, and why an alert was no use."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.fakes.alertmanager_api import alert
from tests.fakes.rollback import Bench


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
