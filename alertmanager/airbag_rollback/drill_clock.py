"""Drills by themselves, as often as policy.yml says, and what is known of drills as metrics."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from airbag.clock import Clock
from airbag.errors import AirbagError
from airbag.log import Complaints
from airbag_rollback.config import Settings
from airbag_rollback.drill import stages
from airbag_rollback.journal import Journal, JournalError
from airbag_rollback.people import People

log = logging.getLogger("airbag.receiver.drill")

BY = "airbag"
"""Who orders the drills that nobody orders."""


class DrillClock(threading.Thread):
    """Orders a drill when the last one, whoever ordered it, is `every` ago; the first one so long after it was told to.

    What failed is not tried again before that.
    """

    def __init__(
        self, settings: Callable[[], Settings], journal: Journal, people: People, clock: Clock, every: float = 5.0
    ) -> None:
        super().__init__(name="drill-clock", daemon=True)
        self._settings = settings
        self._journal = journal
        self._people = people
        self._clock = clock
        self._every = every
        self._ending = threading.Event()
        self._said = ""

    def stop(self) -> None:
        """End after the present look."""
        self._ending.set()

    def run(self) -> None:
        while not self._ending.wait(self._every):
            if not self._journal.lease.fence:  # a standby orders nothing
                continue
            try:
                with self._journal.lease.leading():
                    self.look()
            except AirbagError as error:  # nothing serves, or the journal is full: AirbagDrillOverdue tells people
                self._say(f"no drill: {error}")
            except Exception:  # one bad look must not end the clock
                log.exception("ordering a drill failed")

    def look(self) -> None:
        """Order a drill if one is due. NotThere, NotNow and JournalError as usual."""
        drill, now = self._settings().policy.drill, self._clock.now()
        since = self._journal.notes.since("drills_scheduled_since", now if drill.every else None)
        if not drill.every or since is None or drill.model is None:
            return
        last = [each.alert_at or each.received_at or 0.0 for each in self._journal.actions.latest_drills(1)]
        if now < max([since, *last]) + drill.every:
            return
        action = self._people.drill(drill.serving, drill.model, BY, f"drill.every is {drill.every:g} s")
        self._say(f"drill {action.id} was ordered")

    def _say(self, sentence: str) -> None:
        if sentence != self._said:
            self._said = sentence
            log.info(sentence)


class DrillStanding(Collector):
    """The families, read anew for each scrape, so that they are the same after a restart."""

    def __init__(self, settings: Callable[[], Settings], journal: Journal, clock: Clock) -> None:
        self._settings = settings
        self._journal = journal
        self._complaints = Complaints(log)
        self._began = clock.now()

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing, so that registering does not read the journal."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        last = GaugeMetricFamily(
            "airbag_rollback_last_successful_drill_timestamp_seconds",
            "When the last drill that went the whole way ended; absent before the first.",
        )
        took = GaugeMetricFamily(
            "airbag_rollback_drill_stage_seconds",
            "Seconds from the stage before to this one, in the last drill that went the whole way.", labels=["stage"],
        )  # fmt: skip
        try:
            yield from self._schedule()
            for action in self._journal.actions.latest_drills(1, succeeded=True):
                last.add_metric([], action.ended_at or 0.0)
                for stage in stages(action, self._journal.outbox.posted_at(action.id)):
                    if stage.seconds is not None:
                        took.add_metric([stage.name], stage.seconds)
        except JournalError as error:
            self._complaints.warn("what is known of drills cannot be told", error)
        yield last
        yield took

    def _schedule(self) -> Iterator[GaugeMetricFamily]:
        every = self._settings().policy.drill.every
        if not every:
            return
        since = self._journal.notes.noted("drills_scheduled_since") or self._began
        done = [each.ended_at or 0.0 for each in self._journal.actions.latest_drills(1, succeeded=True)]
        yield GaugeMetricFamily(
            "airbag_rollback_drill_interval_seconds", "How often drills are made (drill.every).", every
        )
        yield GaugeMetricFamily(
            "airbag_rollback_drill_awaited_since_timestamp_seconds",
            "Since when a successful drill is waited for: the last one, or since drills are made by themselves.",
            max([since, *done]),
        )  # fmt: skip
