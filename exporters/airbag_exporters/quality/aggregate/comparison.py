"""The candidate against the stable version: the evidence for a rollback that needs no reference and no threshold."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from airbag.config import parse_duration
from airbag_exporters.quality.aggregate import arithmetic as the
from airbag_exporters.quality.aggregate.arithmetic import Floats, Places
from airbag_exporters.quality.aggregate.catalog import Key, Level
from airbag_exporters.quality.aggregate.roles import Roles
from airbag_exporters.quality.aggregate.window import Window

REMEMBERED = 3600.0
"""For so many seconds a version is represented by its last value that rested on enough rows."""


class Memory:
    """The last value of each record and row, and of some the largest."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, Key], tuple[float, float]] = {}
        self._falling: dict[tuple[str, Key], list[tuple[float, float]]] = {}

    def most(self, name: str, level: Level, values: Floats, now: float, span: float) -> Floats:
        """The largest value of each row in the past `span` seconds, this one included; NaN where there is none.

        Of what was, only values are kept that may yet be the largest: each is above those that came later.
        """
        found = np.full(len(level), np.nan)
        for place, (row, value) in enumerate(zip(level.rows, values.tolist(), strict=True)):
            known = [pair for pair in self._falling.get((name, row), ()) if now - pair[0] <= span]
            if not math.isnan(value):
                known = [*(pair for pair in known if pair[1] > value), (now, value)]
            if known:
                self._falling[name, row] = known
                found[place] = known[0][1]
        return found

    def last(self, name: str, level: Level, values: Floats, now: float) -> Floats:
        """The values, and where there is none (NaN) the last one of the past hour. `now` is in seconds."""
        found = np.full(len(level), np.nan)
        for place, (row, value) in enumerate(zip(level.rows, values.tolist(), strict=True)):
            if not math.isnan(value):
                self._last[name, row] = (now, value)
            at, last = self._last.get((name, row), (-np.inf, np.nan))
            if now - at < REMEMBERED:
                found[place] = last
        return found

    def forget(self, now: float) -> None:
        """Let go of what is too old."""
        self._last = {key: (at, value) for key, (at, value) in self._last.items() if now - at < REMEMBERED}
        self._falling = {key: pairs for key, pairs in self._falling.items() if now - pairs[-1][0] < REMEMBERED}


@dataclass(frozen=True)
class Sides:
    """What a comparison needs beside the window: who is compared, and what was known before."""

    roles: Roles
    memory: Memory
    now: float


@dataclass(frozen=True)
class Compared:
    """A metric of versions, the operation in its record's name, its standard error, and the rows that it rests on."""

    metric: str
    operation: str
    stderr: Callable[[Window], Floats] | None = None
    rows: str = "labelled"

    def __call__(self, window: Window, sides: Sides) -> None:
        """Record the difference, and with a standard error also its own and how many of them it is."""
        versions, models = window.plan.versions, window.plan.models
        candidates, stables = sides.roles.places(models, versions)
        rows = window.of(versions, self.rows, "increase")
        span = parse_duration(window.name)
        most = sides.memory.most(f"{self.rows} {window.name}", versions, rows, sides.now, span)

        def of_both(operation: str, values: Floats) -> tuple[Floats, Floats]:
            judged = np.where(rows >= window.plan.labels_min, values, np.nan)
            record = window.record(versions, self.metric, f"sufficient_{operation}", judged)
            full = np.where(2 * rows >= most, judged, np.nan)
            window.record(versions, self.metric, f"full_{operation}", full)
            known = sides.memory.last(f"{self.metric} {operation} {window.name}", versions, full, sides.now)
            return _picked(record, candidates), _picked(known, stables)

        candidate, stable = of_both(self.operation, window.of(versions, self.metric, self.operation))
        difference = window.record(models, self.metric, "difference", candidate - stable)
        if self.stderr:
            together = the.difference_stderr(*of_both("stderr", self.stderr(window)))
            window.record(models, self.metric, "difference_stderr", together)
            window.record(models, self.metric, "zscore", the.ratio(difference, together))


def _picked(values: Floats, places: Places) -> Floats:
    return np.append(values, np.nan)[places]  # -1 is the NaN behind the last


def _recorded_stderr(metric: str) -> Callable[[Window], Floats]:
    return lambda window: window.of(window.plan.versions, metric, "stderr")


def _accuracy_stderr(window: Window) -> Floats:
    versions = window.plan.versions
    accuracy = window.of(versions, "accuracy", "ratio")
    return the.agresti_caffo_stderr(accuracy, window.of(versions, "labelled", "increase"))


ACCURACY = Compared("accuracy", "ratio", _accuracy_stderr)
F1 = Compared("f1_macro", "ratio")
AUC = Compared("auc", "ratio", _recorded_stderr("auc"))
MAE = Compared("mae", "mean", _recorded_stderr("mae"))
ENTROPY = Compared("prediction_entropy", "mean_nats", rows="predictions")
CLASS_ENTROPY = Compared("prediction_class_entropy", "nats", rows="predictions")
