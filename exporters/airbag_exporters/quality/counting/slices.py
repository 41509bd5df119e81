"""What a block of counters holds and where: the series of every family, in order, and their text on the page."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from airbag.exposition import Family

Rows = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Part:
    """Series of one family: for each the label values that follow those of its owner.

    The parts of a histogram have a `suffix`; rows of `_bucket` end in the value of `le`.
    """

    family: Family
    rows: Rows = ((),)
    is_float: bool = False
    suffix: str = ""


class Slice(NamedTuple):
    """Where the counters of a part are: `start` is in the array of its own type."""

    part: Part
    start: int

    @property
    def range(self) -> slice:
        """The place in the array."""
        return slice(self.start, self.start + len(self.part.rows))


class Lines(NamedTuple):
    """The sample lines of a slice, with a place for each value: `template % values`."""

    template: str
    values: slice
    is_float: bool


@dataclass(frozen=True)
class Slices:
    """The series of one owner. `names` are the values of the labels that all of them share.

    Two are equal when they have the same series in the same order; then their counters can be added up.
    """

    names: tuple[str, ...]
    parts: tuple[Part, ...]

    @cached_property
    def slices(self) -> Mapping[tuple[Family, str], Slice]:
        """Every slice by family and suffix; integers and floats are counted from 0 each."""
        found: dict[tuple[Family, str], Slice] = {}
        free = [0, 0]
        for part in self.parts:
            found[part.family, part.suffix] = Slice(part, free[part.is_float])
            free[part.is_float] += len(part.rows)
        return found

    @cached_property
    def sizes(self) -> tuple[int, int]:
        """How many integer and how many float counters there are."""
        floats = sum(len(part.rows) for part in self.parts if part.is_float)
        return self.series - floats, floats

    @property
    def series(self) -> int:
        """How many series there are on the page."""
        return sum(len(part.rows) for part in self.parts)

    @cached_property
    def identities(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """A hash for every integer and every float counter, of its family and labels, but not of its owner."""
        return tuple(
            np.array([number for part in self.parts if part.is_float is kind for number in _hashes(part)], "<u8")
            for kind in (False, True)
        )  # type: ignore[return-value]  # two kinds, two arrays

    @cached_property
    def lines(self) -> Mapping[Family, Sequence[Lines]]:
        """The text of every family, made once."""
        found: dict[Family, list[Lines]] = {}
        for each in self.slices.values():
            lines = Lines(_template(self.names, each.part), each.range, each.part.is_float)
            found.setdefault(each.part.family, []).append(lines)
        return found


def bins(count: int) -> tuple[tuple[str, str], ...]:
    """The labels `bin` and `prev` of `count` bins, after a series that stays 0 and that the first bin follows.

    `prev` names the bin whose count is to be subtracted from a cumulative one; PromQL knows no order.
    """
    names = ("", "start", *(f"{number:02}" for number in range(count)))
    return tuple((name, before) for before, name in pairwise(names))


def series_rows(*labels: Iterable[str]) -> Rows:
    """Every combination of the values of some labels, the last one changing fastest."""
    rows: Rows = ((),)
    for values in labels:
        rows = tuple((*row, value) for values in (tuple(values),) for row in rows for value in values)
    return rows


def _hashes(part: Part) -> list[int]:
    name = f"{part.family.name}{part.suffix}"
    return [
        int.from_bytes(
            hashlib.blake2b("\0".join((name, *row)).encode(errors="replace"), digest_size=8).digest(), "little"
        )
        for row in part.rows
    ]


def _template(names: tuple[str, ...], part: Part) -> str:
    return "".join(_line(names, part, row) for row in part.rows)


def _line(names: tuple[str, ...], part: Part, row: tuple[str, ...]) -> str:
    edge = ""
    if part.suffix == "_bucket":
        *row_, last = row
        row, edge = tuple(row_), f'le="{last}"'
    prefix = part.family.series((*names, *row), part.suffix, edge)
    return f"{prefix.replace('%', '%%')}{'%r' if part.is_float else '%d'}\n"
