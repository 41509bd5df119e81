"""What a block of counters holds and where: the series of every family, in order, and their text on the page."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from airbag.exposition import Family, escaped

Rows = tuple[tuple[str, ...], ...]

_NAMES = "\0"  # stands for the labels of the owner in the text that owners share


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
class Shape:
    """The series that some owners have in common: those of one model's versions, as long as they look alike.

    Everything that follows from it is worked out once for all of them.
    """

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
        return sum(len(part.rows) for part in self.parts) - floats, floats

    @cached_property
    def identities(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """A hash for every integer and every float counter, of its family and labels. Stable: they are stored."""
        ints, floats = (
            np.array([number for part in self.parts if part.is_float is kind for number in _hashes(part)], "<u8")
            for kind in (False, True)
        )
        return ints, floats

    @cached_property
    def lines(self) -> Mapping[Family, Sequence[Lines]]:
        """The text of every family, with a mark in the place of the owner's labels."""
        found: dict[Family, list[Lines]] = {}
        for each in self.slices.values():
            template = "".join(_line(each.part, row) for row in each.part.rows)
            found.setdefault(each.part.family, []).append(Lines(template, each.range, each.part.is_float))
        return found


@dataclass(frozen=True)
class Slices:
    """The series of one owner. `names` are the values of the labels that all of them share.

    Two are equal when they have the same series in the same order; then their counters can be added up.
    """

    names: tuple[str, ...]
    shape: Shape

    @property
    def parts(self) -> tuple[Part, ...]:
        """The series, in order."""
        return self.shape.parts

    @property
    def series(self) -> int:
        """How many series there are on the page."""
        return sum(self.shape.sizes)

    @cached_property
    def lines(self) -> Mapping[Family, Sequence[Lines]]:
        """The text of every family."""
        return {
            family: [each._replace(template=each.template.replace(_NAMES, self._labels(family))) for each in lines]
            for family, lines in self.shape.lines.items()
        }

    def _labels(self, family: Family) -> str:
        pairs = zip(family.labels, self.names, strict=False)
        return ",".join(f'{label}="{_printed(name)}"' for label, name in pairs)


def bins(count: int) -> tuple[tuple[str, str], ...]:
    """The labels `bin` and `prev` of `count` bins, after a series that stays 0 and that the first bin follows.

    `prev` names the bin whose count is to be subtracted from a cumulative one; PromQL knows no order.
    """
    names = ("", "start", *(f"{number:02}" for number in range(count)))
    return tuple((name, before) for before, name in pairwise(names))


def series_rows(*labels: Iterable[str]) -> Rows:
    """Every combination of the values of some labels, the last one changing fastest."""
    return tuple(product(*labels))


def _hashes(part: Part) -> list[int]:
    name = f"{part.family.name}{part.suffix}"
    return [_hash((name, *row)) for row in part.rows]


def _hash(texts: tuple[str, ...]) -> int:
    told = "".join(f"{len(text)}:{text}" for text in texts)
    return int.from_bytes(hashlib.blake2b(told.encode(errors="surrogatepass"), digest_size=8).digest(), "little")


def _line(part: Part, row: tuple[str, ...]) -> str:
    """A sample line of no owner in particular, with a place for the value."""
    labels = part.family.labels
    if part.suffix == "_bucket":
        labels = (*labels, "le")
    own = labels[len(labels) - len(row) :]
    pairs = [f'{label}="{_printed(value)}"' for label, value in zip(own, row, strict=True)]
    value = "%r" if part.is_float else "%d"
    return f"{part.family.name}{part.suffix}{{{','.join([_NAMES, *pairs])}}} {value}\n"


def _printed(value: str) -> str:
    """A label value within a template, in which a percent sign is two, and the mark is no text."""
    return escaped(value).replace("%", "%%").replace(_NAMES, "?")
