"""The way of an alert is watched: the watchdog that should come, and what is told when it stays away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from airbag_rollback.alert_path import HELD_FOR, RESEND, AlertPath, PathWatch
from airbag_rollback.metrics import Metrics
from airbag_rollback.notify import Alertmanagers
from tests.fakes import shipped
from tests.fakes.alertmanager_api import FakeAlertmanager, alertmanager
from tests.fakes.clock import SetClock


class Watched:
    """A watch over a fake Alertmanager; time is set, and looked at once a second."""

    def __init__(self, fakes: list[FakeAlertmanager]) -> None:
        self.fakes = fakes
        self.clock = SetClock()
        self.within = 180.0
        self.path = AlertPath(self.clock)
        self.posts = Alertmanagers(lambda: tuple(fake.url for fake in fakes), Metrics(CollectorRegistry()))
        self.watch = PathWatch(self.path, lambda: self.within, self.posts, self.clock)

    def after(self, seconds: float) -> list[dict[str, object]]:
        """Let time pass; what the first Alertmanager has been told in all."""
        for _ in range(int(seconds)):
            self.clock.time += 1
            self.watch.look()
        return self.fakes[0].alerts


@pytest.fixture
def watched() -> Iterator[Watched]:
    with alertmanager() as one, alertmanager() as two:
        found = Watched([one, two])
        yield found
        found.posts.close()


def test_after_a_start_it_waits_for_the_first_watchdog_as_long_as_for_any_other(watched: Watched) -> None:
    assert watched.after(180) == []
    assert len(watched.after(1)) == 1


def test_a_watchdog_that_keeps_coming_says_nothing(watched: Watched) -> None:
    for _ in range(20):
        watched.path.heard()
        watched.after(30)
    assert watched.fakes[0].alerts == []


def test_one_that_stays_away_is_told_to_every_alertmanager_until_it_comes_again(watched: Watched) -> None:
    told = watched.after(181 + 3 * RESEND)
    assert len(told) == 4
    assert watched.fakes[1].alerts == told
    assert {alert["startsAt"] for alert in told} == {"1970-01-12T13:49:41.000Z"}  # type: ignore[index]
    assert told[-1]["endsAt"] == "1970-01-12T13:51:11.000Z"  # HELD_FOR after the latest message
    assert HELD_FOR > 3 * RESEND
    watched.path.heard()
    *_, over = watched.after(1)
    assert over["endsAt"] == "1970-01-12T13:50:12.000Z"
    assert len(watched.after(170)) == 5


def test_it_has_the_labels_of_the_rule_so_that_alertmanager_shows_one(watched: Watched) -> None:
    [alert] = watched.after(181)
    rule = shipped.alerts()["AirbagAlertPathBroken"]
    assert alert["labels"] == {"alertname": "AirbagAlertPathBroken", **rule["labels"]}
    notes = alert["annotations"]
    assert isinstance(notes, dict)
    assert notes["summary"] == rule["annotations"]["summary"]
    assert notes["runbook_url"] == rule["annotations"]["runbook_url"]
    assert notes["description"] == (
        "AirbagWatchdog, which always fires, has not come to the receiver since 1970-01-12T13:46:40.000Z; allowed are "
        "180 s. Alerts that ask for a rollback may be lost the same way, so a bad release may go unanswered."
    )


def test_an_alertmanager_that_is_away_is_told_when_it_is_back(watched: Watched) -> None:
    watched.fakes[0].status = 503
    assert watched.after(181) == []
    assert len(watched.fakes[1].alerts) == 1
    watched.fakes[0].status = 200
    assert len(watched.after(RESEND)) == 1


def test_turned_off_it_is_silent_and_turned_on_it_begins_to_wait(watched: Watched) -> None:
    watched.within = 0
    assert watched.after(1000) == []
    watched.within = 180
    assert watched.after(180) == []
    assert len(watched.after(1)) == 1
    watched.within = 0
    first, over = watched.after(1)
    assert over["startsAt"] == first["startsAt"] == "1970-01-12T14:06:21.000Z"
    assert over["endsAt"] == "1970-01-12T14:06:22.000Z"
