"""All replicas together: snapshots in, records out. No network, disk or clock: times are told, in seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from airbag.config import parse_duration
from airbag.rules import RuleSettings
from airbag_exporters.quality.aggregate import comparison, versions
from airbag_exporters.quality.aggregate.arithmetic import Places
from airbag_exporters.quality.aggregate.catalog import Catalog, Key, Level, Table
from airbag_exporters.quality.aggregate.comparison import Memory, Sides
from airbag_exporters.quality.aggregate.features import Features, drift, feature_level
from airbag_exporters.quality.aggregate.history import History
from airbag_exporters.quality.aggregate.references import References
from airbag_exporters.quality.aggregate.roles import Roles
from airbag_exporters.quality.aggregate.scores import ScoreCells, scores
from airbag_exporters.quality.aggregate.tables import LABELS, Told, told
from airbag_exporters.quality.aggregate.window import Facts, Plan, Record, Window
from airbag_exporters.quality.render import Snapshot
from airbag_exporters.quality.render.thresholds import LABELS_MIN

STALE_AFTER = 300.0
"""Seconds after which nothing is believed of a replica but what it counted; Prometheus has the same patience."""

_VERDICT = (comparison.ACCURACY, comparison.F1)
_QUALITY: tuple[Callable[[Window], None], ...] = (
    versions.verdict,
    versions.classification,
    versions.regression,
    versions.translation,
    versions.predictions,
)
_COMPARED = (
    *_VERDICT,
    comparison.AUC,
    comparison.MAE,
    comparison.ENTROPY,
    comparison.CLASS_ENTROPY,
)


@dataclass(frozen=True)
class _MadeFrom:
    """`series` that were counted by replica, `shown` series and `references` of those that are alive."""

    series: tuple[tuple[str, tuple[Key, ...]], ...]
    shown: tuple[tuple[Key, ...], ...]
    references: tuple[Table, ...]
    facts: Facts
    roles: Roles


@dataclass(frozen=True, eq=False)
class _Index:
    """What is worked out once for the same series, references and roles. `counted` are the features that are shown."""

    made_from: _MadeFrom
    plan: Plan
    places: Mapping[str, Places]
    scores: ScoreCells
    references: References
    features: Features
    counted: Level

    @classmethod
    def of(cls, made_from: _MadeFrom) -> _Index:
        catalog = Catalog((key for _, keys in made_from.series for key in keys), LABELS)
        plan, references = Plan(catalog, made_from.facts), References.of(made_from.references)
        shown = Catalog((key for keys in made_from.shown for key in keys), LABELS)
        return cls(
            made_from, plan, {name: catalog.places(keys) for name, keys in made_from.series}, ScoreCells.of(plan),
            references, Features.of(plan, references, made_from.roles), feature_level(shown),
        )  # fmt: skip

    @property
    def roles(self) -> Roles:
        return self.made_from.roles


class Fleet:
    """Not thread-safe. `windows` are those of the recording rules."""

    def __init__(self, windows: RuleSettings) -> None:
        self.windows = windows
        self._span = max(map(parse_duration, (windows.verdict, *windows.quality, *windows.drift)))
        self._histories: dict[str, History] = {}
        self._told: dict[str, Told] = {}
        self._memory = Memory()
        self._index: _Index | None = None

    def look(self, replica: str, at: float, snapshot: Snapshot) -> None:
        """Take in a snapshot of a replica; `at` must be later than that of the one before."""
        self._told[replica] = told(snapshot, self._told.get(replica))
        history = self._histories.setdefault(replica, History(self._span))
        history.add(at, self._told[replica].counters)

    def latest(self, replica: str) -> float | None:
        """When the last snapshot of a replica was taken in."""
        return self._histories[replica].latest if replica in self._histories else None

    def keep(self, replicas: Sequence[str], now: float) -> None:
        """Forget replicas that are not among these, or that have not been heard of for the longest window."""
        for replica, history in list(self._histories.items()):
            if replica not in replicas or now - (history.latest or 0.0) > self._span + STALE_AFTER:
                del self._histories[replica], self._told[replica]

    def records(self, now: float) -> list[Record]:
        """Everything that the recording rules would say now."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return self._records(now)

    def _records(self, now: float) -> list[Record]:
        alive = [told for name, told in self._told.items() if now - (self.latest(name) or 0.0) <= STALE_AFTER]
        index = self._indexed(alive)
        sides = Sides(index.roles, self._memory, now)
        found = [*index.roles.records, *index.references.records(index.counted)]
        found += self._verdict(index, sides)
        for name in self.windows.quality:
            found += self._quality(index, sides, name)
        for name in self.windows.drift:
            window = self._window(index, name, now)
            drift(window, index.features)
            found += window
        self._memory.forget(now)
        return found

    def _verdict(self, index: _Index, sides: Sides) -> Window:
        window = self._window(index, self.windows.verdict, sides.now)
        versions.verdict(window)
        for compared in _VERDICT:
            compared(window, sides)
        return window

    def _quality(self, index: _Index, sides: Sides, name: str) -> Window:
        window = self._window(index, name, sides.now)
        for family in _QUALITY:
            family(window)
        scores(window, index.scores)
        for compared in _COMPARED:
            compared(window, sides)
        return window

    def _window(self, index: _Index, name: str, now: float) -> Window:
        totals = np.zeros(len(index.plan.catalog))
        since = now - parse_duration(name)
        for replica, history in self._histories.items():
            totals[index.places[replica]] += history.increase(since)
        return Window(index.plan, name, totals)

    def _indexed(self, alive: Sequence[Told]) -> _Index:
        """The index, made anew only when something is another than before."""
        made_from = _MadeFrom(
            tuple((name, history.keys) for name, history in self._histories.items()),
            tuple(each.counters.keys for each in alive),
            tuple(each.reference for each in alive),
            _facts(alive),
            Roles.of(dict(each.snapshot.roles.items()) for each in alive),
        )
        if self._index is None or self._index.made_from != made_from:
            self._index = _Index.of(made_from)
        return self._index


def _facts(alive: Sequence[Told]) -> Facts:
    """The kinds and thresholds that the replicas tell; the largest threshold where they do not agree."""
    kinds: dict[Key, str] = {}
    labels_min: dict[Key, float] = {}
    for each in alive:
        kinds.update(each.snapshot.kinds.items())
        for model, expected in each.snapshot.expected.items():
            if (rows := expected.get(LABELS_MIN)) is not None:
                labels_min[model] = max(rows, labels_min.get(model, rows))
    return Facts(kinds, labels_min)
