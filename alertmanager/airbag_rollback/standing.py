"""How things stand, read anew for each scrape: the watchdog, models that wait for a person, since when nothing acts,
what was done last and since when what serves does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from airbag.log import Complaints
from airbag_rollback.alert_path import AlertPath
from airbag_rollback.config import Settings
from airbag_rollback.journal import Journal, JournalError
from airbag_rollback.journal.history import History

log = logging.getLogger("airbag.receiver")


class Standing(Collector):
    """The families. What is turned off has no series."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        path: AlertPath,
        journal: Journal,
        not_acting_since: Callable[[], float | None],
    ) -> None:
        self._settings = settings
        self._path = path
        self._journal = journal
        self._complaints = Complaints(log)
        self._not_acting_since = not_acting_since

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing, so that registering does not read the journal."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        policy = self._settings().policy
        yield from _gauge(
            "airbag_rollback_watchdog_last_received_timestamp_seconds",
            "When AirbagWatchdog last came from Alertmanager; before the first time, since when it is waited for.",
            self._path.last if policy.watchdog_within else None,
        )
        yield from _gauge(
            "airbag_rollback_watchdog_max_age_seconds", "How long AirbagWatchdog may stay away (watchdog_within).",
            policy.watchdog_within or None,
        )  # fmt: skip
        yield from _gauge(
            "airbag_rollback_not_acting_since_timestamp_seconds",
            "Since when the mode, or a pause of everything, lets nothing be rolled back by itself; else absent.",
            self._not_acting_since(),
        )  # fmt: skip
        yield from _gauge(
            "airbag_rollback_paused_max_seconds", "How long not to act is unremarkable (paused_max).",
            policy.paused_max or None,
        )  # fmt: skip
        yield self._needs_human()
        yield from self._for_annotations()

    def _for_annotations(self) -> Iterator[GaugeMetricFamily]:
        """Times that a dashboard marks: what Airbag did last, and since when something serves."""
        labels = ["serving", "model_name"]
        ended = GaugeMetricFamily(
            "airbag_rollback_last_action_timestamp_seconds",
            "When the model's latest action ended, drills aside; one series per model.",
            labels=[*labels, "action_id", "outcome", "reason", "from_version", "to_version"],
        )
        since = GaugeMetricFamily(
            "airbag_rollback_serving_since_timestamp_seconds",
            "Since when a version that serves does so.", labels=[*labels, "model_version"],
        )  # fmt: skip
        try:
            self._fill(ended, since)
        except JournalError as error:
            self._complaints.warn("what was done last cannot be told", error)
            return
        yield ended
        yield since

    def _fill(self, ended: GaugeMetricFamily, since: GaugeMetricFamily) -> None:
        history = History(self._journal.database)
        serving_since = history.serving_since()
        for group in self._settings().servings.servings:
            for model in group.models:
                action = history.latest_ended(group.name, model.name)
                if action is not None and action.ended_at is not None:
                    to = "" if action.target_version is None else str(action.target_version)
                    what = [str(action.id), action.state.lower(), action.reason, str(action.bad_version), to]
                    ended.add_metric([group.name, model.name, *what], action.ended_at)
                for version, at in serving_since.get((group.name, model.name), {}).items():
                    since.add_metric([group.name, model.name, str(version)], at)

    def _needs_human(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "airbag_rollback_needs_human",
            "Whether the model's latest action ended with a call for a person and nothing was changed since.",
            labels=["serving", "model_name"],
        )
        try:
            waiting = unsolved(self._journal)
        except JournalError as error:
            self._complaints.warn("who waits for a person cannot be told", error)
            return family
        for group in self._settings().servings.servings:
            for model in group.models:
                family.add_metric([group.name, model.name], float((group.name, model.name) in waiting))
        return family


def unsolved(journal: Journal) -> set[tuple[str, str]]:
    """Serving and model of every latest action that called for a person, until somebody releases or changes a thing."""
    present = {
        (serving, model): (epoch, None if wanted is None else frozenset(wanted))
        for serving, model, epoch, _, wanted in journal.ledger.present()
    }
    return {
        (action.serving, action.model_name)
        for action in journal.actions.latest_that_need_a_human()
        if action.still_stands(*present.get((action.serving, action.model_name), (action.epoch, None)))
    }


def _gauge(name: str, text: str, value: float | None) -> Iterator[GaugeMetricFamily]:
    if value is not None:
        yield GaugeMetricFamily(name, text, value)
