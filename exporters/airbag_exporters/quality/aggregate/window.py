"""What one window says: sums of counters in, records out, each seen by those that come after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from airbag_exporters.quality.aggregate.arithmetic import Flags, Floats, Groups
from airbag_exporters.quality.aggregate.catalog import MODEL, VERSION, Catalog, Key, Level
from airbag_exporters.quality.counting import families


@dataclass(frozen=True)
class Facts:
    """What exporters.yml says of models, by group and name."""

    kinds: Mapping[Key, str]
    labels_min: Mapping[Key, float]


@dataclass(frozen=True, eq=False)
class Plan:
    """The rows that numbers are given for. Made anew when series appear or vanish."""

    catalog: Catalog
    facts: Facts

    @cached_property
    def versions(self) -> Level:
        """Every version that has counters."""
        return self.catalog.level("model_version", VERSION, (families.PREDICTIONS.name, families.LABELLED.name))

    @cached_property
    def models(self) -> Level:
        """Their models."""
        rows = {row[: len(MODEL)] for row in self.versions.rows}
        return Level("model", MODEL, tuple(sorted(rows)))

    @cached_property
    def classes(self) -> Level:
        """Every class of every version."""
        return self.catalog.level("model_version_class", (*VERSION, "class"), (families.CLASS.name,))

    @cached_property
    def predicted(self) -> Level:
        """Everything that a version predicts and that is counted apart."""
        return self.catalog.level("model_version_predicted", (*VERSION, "predicted"), (families.PREDICTIONS.name,))

    @cached_property
    def by_class(self) -> Groups:
        """Adds up classes by version."""
        return self.classes.groups(self.versions)

    @cached_property
    def by_predicted(self) -> Groups:
        """Adds up what is predicted by version."""
        return self.predicted.groups(self.versions)

    @cached_property
    def labels_min(self) -> Floats:
        """(versions,)"""
        found = [self.facts.labels_min.get(row[: len(MODEL)], np.nan) for row in self.versions.rows]
        return np.array(found, np.float64)

    def of_kind(self, *kinds: str) -> Floats:
        """(versions,) 1 for versions of models of these kinds, else NaN."""
        found = [self.facts.kinds.get(row[: len(MODEL)]) in kinds for row in self.versions.rows]
        return np.where(np.array(found, np.bool_), 1.0, np.nan)


class Record(NamedTuple):
    """What a recording rule would have recorded: values (rows of the level,), NaN for those that it would not have."""

    name: str
    level: Level
    values: Floats

    @property
    def present(self) -> Flags:
        """Which rows there are."""
        return ~np.isnan(self.values)


class Window:
    """One window: `name` is how it is written, `totals` how much every series of the plan's catalog grew in it."""

    def __init__(self, plan: Plan, name: str, totals: Floats) -> None:
        self.plan = plan
        self.name = name
        self.totals = totals
        self._records: dict[str, Record] = {}

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    def sum(self, level: Level, family: str, **only: str) -> Floats:
        """The growth of a family by the rows of a level; NaN where it has no series."""
        return self.plan.catalog.sum(level, family, **only)(self.totals)

    def record(self, level: Level, metric: str, operation: str, values: Floats) -> Floats:
        """Keep a record, and give its values back."""
        name = f"{level.name}:airbag_quality_{metric}:{operation}{self.name}"
        self._records[name] = Record(name, level, values)
        return values

    def of(self, level: Level, metric: str, operation: str) -> Floats:
        """The values of a record that was kept before."""
        return self._records[f"{level.name}:airbag_quality_{metric}:{operation}{self.name}"].values
