"""How much the counters of one replica grew: resets are seen through, and the past is kept only as finely as needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from airbag_exporters.quality.aggregate.arithmetic import Floats, Groups, Places
from airbag_exporters.quality.aggregate.catalog import Key, Table

_FINENESS = 60
"""A look may go when its neighbours are closer to each other than its age divided by this."""


class Look(NamedTuple):
    """What had been counted since the first look, at a time in seconds."""

    at: float
    grown: Floats


class History:
    """One replica. `span` is how far back it will be asked, in seconds.

    `keys` are the series that it has, or had within `span`.
    """

    def __init__(self, span: float) -> None:
        self.keys: tuple[Key, ...] = ()
        self._span = span
        self._looks: list[Look] = []
        self._given: tuple[Key, ...] = ()
        self._places: Places = np.empty(0, np.intp)
        self._values: Floats = np.empty(0)
        self._owners = Groups(np.empty(0, np.intp), 0)

    def __len__(self) -> int:
        """How many looks are kept."""
        return len(self._looks)

    @property
    def latest(self) -> float | None:
        """When the last look was, None before any."""
        return self._looks[-1].at if self._looks else None

    def add(self, at: float, table: Table) -> None:
        """Another look at the counters; `at` must be later than that of the last.

        The first look is where counting begins. Afterwards, a series that appears began at 0, and so did every series
        of an owner of which one fell: a process that lost its counters lost all of an owner's.
        """
        first = not self._looks
        if table.keys is not self._given:
            self._realign(table.keys)
        values = np.zeros(len(self.keys))
        values[self._places] = table.values
        if first:
            grown = np.zeros(len(values))
        else:
            growth = values - self._values
            lost = self._owners.any(growth < 0)[self._owners.of]
            grown = self._looks[-1].grown + np.where(lost, values, growth)
        self._values = values
        self._looks = _thinned([*self._looks, Look(at, grown)], self._span)

    def increase(self, since: float) -> Floats:
        """(n,) how much each of `keys` grew after `since`, on straight lines between the looks."""
        if not self._looks:
            return np.zeros(len(self.keys))
        ats = [look.at for look in self._looks]
        after = int(np.searchsorted(ats, since, side="right"))
        last = self._looks[-1].grown
        if after == 0:
            return last - self._looks[0].grown
        if after == len(ats):
            return np.zeros(len(last))
        (before_at, before), (after_at, later) = self._looks[after - 1 : after + 1]
        return last - before - (later - before) * ((since - before_at) / (after_at - before_at))

    def _realign(self, given: tuple[Key, ...]) -> None:
        """Go on with other series: those that are new had counted nothing, those that left stay while they matter."""
        new = frozenset(given)
        matter = self._looks[-1].grown > self._looks[0].grown if self._looks else ()
        left = [key for key, does in zip(self.keys, matter, strict=False) if does and key not in new]
        keys = (*given, *left)
        known = {key: number for number, key in enumerate(self.keys)}
        places = np.array([known.get(key, -1) for key in keys], np.intp)

        def aligned(values: Floats) -> Floats:
            return np.append(values, 0.0)[places]  # -1 is the 0 behind the last

        self._looks = [Look(at, aligned(grown)) for at, grown in self._looks]
        self._values = aligned(self._values)
        self.keys, self._given, self._places = keys, given, np.arange(len(given))
        self._owners = _owners(keys)


def _owners(keys: Sequence[Key]) -> Groups:
    """By the labels of a version, which are the first of every series."""
    numbers: dict[Key, int] = {}
    of = [numbers.setdefault(key[1:4], len(numbers)) for key in keys]
    return Groups(np.array(of, np.intp), len(numbers))


def _thinned(looks: Sequence[Look], span: float) -> list[Look]:
    """The newest, then what is far enough from the next newer one, up to the first that is as old as `span`."""
    now = looks[-1].at
    kept = [looks[-1]]
    for look in reversed(looks[:-1]):
        if now - kept[-1].at >= span:
            break
        if kept[-1].at - look.at >= (now - look.at) / _FINENESS or look is looks[0]:
            kept.append(look)
    return kept[::-1]
