"""Which series there are, and which of them add up to which rows. Made once; looked things up in at every turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from airbag_exporters.quality.aggregate.arithmetic import Flags, Floats, Groups, Places

Key = tuple[str, ...]
"""A series: the name of its family, then its label values in the order of the family's labels."""

MODEL = ("serving", "model_name")
VERSION = (*MODEL, "model_version")
FEATURE = (*VERSION, "feature", "ref")


@dataclass(frozen=True, eq=False)
class Table:
    """Series and their values (n,). Who keeps asking hands out the same `keys` as long as they are the same."""

    keys: tuple[Key, ...]
    values: Floats


@dataclass(frozen=True, eq=False)
class Level:
    """The rows that some numbers are given for: `name` begins their names, `labels` are what tells rows apart."""

    name: str
    labels: tuple[str, ...]
    rows: tuple[Key, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def place(self) -> Mapping[Key, int]:
        """The number of each row."""
        return {row: number for number, row in enumerate(self.rows)}

    def within(self, wider: Level) -> Places:
        """(n,) the row of `wider` that each row is part of; -1 where there is none."""
        picked = [self.labels.index(label) for label in wider.labels]
        return np.array([wider.place.get(tuple(row[i] for i in picked), -1) for row in self.rows], np.intp)

    def groups(self, wider: Level) -> Groups:
        """The same, to add up. Rows are sorted, so the groups do not fall."""
        return Groups(self.within(wider), len(wider))


class Found(NamedTuple):
    """Series of one family by label values."""

    labels: tuple[str, ...]
    rows: tuple[tuple[Key, int], ...]


class Sum(NamedTuple):
    """Adds up series: those at `places` belong to the rows `of`; `absent` rows have none."""

    places: Places
    of: Places
    absent: Flags

    def __call__(self, values: Floats) -> Floats:
        summed = np.bincount(self.of, values[self.places], len(self.absent))
        return np.where(self.absent, np.nan, summed)


class Catalog:
    """The series of all replicas. `labels` are the names of the labels of every family."""

    def __init__(self, keys: Iterable[Key], labels: Mapping[str, tuple[str, ...]]) -> None:
        self.place: Mapping[Key, int] = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        self._labels = labels
        self._families: dict[str, list[tuple[Key, int]]] = {}
        for key, number in self.place.items():
            self._families.setdefault(key[0], []).append((key[1:], number))
        self._sums: dict[tuple[Level, str, tuple[tuple[str, str], ...]], Sum] = {}

    def __len__(self) -> int:
        return len(self.place)

    def places(self, keys: Sequence[Key]) -> Places:
        """(n,) where these series stand; -1 for those that there are not."""
        return np.array([self.place.get(key, -1) for key in keys], np.intp)

    def find(self, family: str) -> Found:
        """Every series of a family."""
        return Found(self._labels[family], tuple(self._families.get(family, ())))

    def level(self, name: str, labels: tuple[str, ...], families: Iterable[str]) -> Level:
        """Every combination of these labels that the families have, sorted."""
        rows: set[Key] = set()
        for family in families:
            names, series = self.find(family)
            picked = [names.index(label) for label in labels]
            rows |= {tuple(row[i] for i in picked) for row, _ in series}
        return Level(name, labels, tuple(sorted(rows)))

    def each_bin(self, family: str, by: tuple[str, ...]) -> Mapping[Key, tuple[int, int]]:
        """Where the cumulative counts of every bin and of the bin before it stand, by `by` and the label `prev`."""
        names, series = self.find(family)
        picked = [names.index(label) for label in by]
        at, before = names.index("bin"), names.index("prev")
        ends = {(*(row[i] for i in picked), row[at]): place for row, place in series}
        bins = {(*(row[i] for i in picked), row[before]): place for row, place in series}
        return {cell: (place, ends[cell]) for cell, place in bins.items() if cell in ends}

    def sum(self, level: Level, family: str, **only: str) -> Sum:
        """Adds up the series of a family that have the labels `only`, by the rows of a level."""
        asked = (level, family, tuple(sorted(only.items())))
        if asked not in self._sums:
            self._sums[asked] = self._sum(level, family, only)
        return self._sums[asked]

    def _sum(self, level: Level, family: str, only: Mapping[str, str]) -> Sum:
        names, series = self.find(family)
        picked = [names.index(label) for label in level.labels]
        wanted = [(names.index(label), value) for label, value in only.items()]
        found = [
            (place, level.place[tuple(row[i] for i in picked)])
            for row, place in series
            if all(row[i] == value for i, value in wanted)
        ]
        places, of = (np.array([pair[i] for pair in found], np.intp) for i in (0, 1))
        absent = np.ones(len(level), np.bool_)
        absent[of] = False
        return Sum(places, of, absent)
