"""Pauses at each scrape: of every model whether it is paused, and since when nothing is rolled back by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from airbag.clock import Clock
from airbag.log import Complaints
from airbag_rollback.config import Settings
from airbag_rollback.journal import Journal, JournalError
from airbag_rollback.journal.pauses import ALL

log = logging.getLogger("airbag.receiver")


class PauseStanding(Collector):
    """`airbag_rollback_paused`: 1 for a model that a pause covers, be it the model's own or one of all."""

    def __init__(self, settings: Callable[[], Settings], journal: Journal, clock: Clock) -> None:
        self._settings = settings
        self._journal = journal
        self._complaints = Complaints(log)
        self._clock = clock

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing, so that registering does not read the journal."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "airbag_rollback_paused",
            "Whether somebody paused rollbacks of the model.",
            labels=["serving", "model_name"],
        )
        try:
            now = self._clock.now()
            for group in self._settings().servings.servings:
                for model in group.models:
                    paused = bool(self._journal.pauses.on(group.name, model.name, now))
                    family.add_metric([group.name, model.name], float(paused))
        except JournalError as error:
            self._complaints.warn("what is paused cannot be told", error)
            return
        yield family


def not_acting_since(by_mode: float | None, journal: Journal, now: float) -> float | None:
    """Since when nothing is rolled back by itself: by the mode, or by a pause of everything; None while it is."""
    try:
        pauses = [each.since for each in journal.pauses.present(now) if each.serving == each.model_name == ALL]
    except JournalError:
        pauses = []
    return min([*pauses, *([] if by_mode is None else [by_mode])], default=None)
