"""Events in, counters out: the one place that both intakes write to and the scrape reads from."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from airbag.clock import Clock
from airbag.serving.groups import ModelEntry
from airbag_exporters.config import ExportersConfig
from airbag_exporters.quality.counts import OTHER, Counts
from airbag_exporters.quality.events import BadBatch, Label, Prediction
from airbag_exporters.quality.join import Join, Limits, Owner, Result, Waiting


class Book:
    """Thread-safe. A reload replaces `config`; counters and waiting predictions stay."""

    def __init__(self, config: ExportersConfig, clock: Clock) -> None:
        self.config = config
        self._clock = clock
        self._writing = threading.Lock()
        self._join = Join()
        self._counts = Counts()

    def predict(self, batch: Sequence[Prediction]) -> None:
        """Take predictions in. BadBatch, and no effect, when one leaves open which group it belongs to."""
        config, now = self.config, self._clock.monotonic()
        servings = [_serving(config, number, event) for number, event in enumerate(batch, start=1)]
        with self._writing:
            for serving, event in zip(servings, batch, strict=True):
                owner = self._owner(config, serving, event)
                predicted = str(event.predicted)
                if self._join.predict(event.id, Waiting(owner, predicted, now)):
                    self._counts.predictions[owner, fold(_entry(config, owner), predicted)] += 1
            self._expire(config, now)

    def label(self, batch: Sequence[Label]) -> None:
        """Take labels in, each with the first delivery that has a prediction."""
        config, now = self.config, self._clock.monotonic()
        with self._writing:
            self._expire(config, now)
            for event in batch:
                result, waiting = self._join.label(event.id)
                serving, model = waiting.owner[:2] if waiting else (_only_group(config), OTHER)
                self._counts.labels[serving, model, result] += 1
                if waiting and result is Result.JOINED:
                    entry, actual = _entry(config, waiting.owner), str(event.actual)
                    outcome = (fold(entry, waiting.predicted), fold(entry, actual), waiting.predicted == actual)
                    self._counts.outcomes[waiting.owner, *outcome] += 1

    def read(self) -> tuple[Counts, int]:
        """The counters as they are now, and how many predictions wait."""
        with self._writing:
            self._expire(self.config, self._clock.monotonic())
            return self._counts.copy(), len(self._join)

    def _expire(self, config: ExportersConfig, now: float) -> None:
        limits = Limits(config.quality.pending_max, config.quality.label_ttl)
        for owner in self._join.expire(now, limits):
            self._counts.labels[owner.serving, owner.model, Result.EXPIRED] += 1

    def _owner(self, config: ExportersConfig, serving: str, event: Prediction) -> Owner:
        group = config.group(serving)
        if group is None or group.model(event.model_name) is None:
            return self._counts.owner(serving, OTHER, OTHER)
        return self._counts.owner(serving, event.model_name, str(int(event.model_version)))


def fold(entry: ModelEntry | None, text: str) -> str:
    """A class of the model, or `other`."""
    return text if entry and text in entry.classes else OTHER


def _entry(config: ExportersConfig, owner: Owner) -> ModelEntry | None:
    group = config.group(owner.serving)
    return group.model(owner.model) if group else None


def _only_group(config: ExportersConfig) -> str:
    return config.servings[0].name if len(config.servings) == 1 else OTHER


def _serving(config: ExportersConfig, number: int, event: Prediction) -> str:
    """The group that a prediction belongs to; a model that no group has belongs to the only group, or to `other`."""
    names = [group.name for group in config.servings]
    if event.serving is not None:
        if event.serving not in names:
            raise BadBatch(f"item {number}, field `serving`: no group is called that; known: {', '.join(names)}")
        return event.serving
    having = [group.name for group in config.servings if group.model(event.model_name)]
    if len(having) > 1:
        what = f"{', '.join(having)} all have the model {event.model_name!r}; say which one is meant"
        raise BadBatch(f"item {number}, field `serving`: {what}")
    return having[0] if having else _only_group(config)
