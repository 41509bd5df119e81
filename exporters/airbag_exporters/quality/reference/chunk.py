"""Training data in pieces: what every file format is read to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from airbag.serving.quality import FeatureKind
from airbag_exporters.quality.columns import Coded, Floats, class_name

CHUNK_ROWS = 16_384

NUMBER, TEXT, BOOLEAN = "number", "text", "boolean"
"""The types of columns that can be features; every other word is one that cannot."""

Kinds = Mapping[str, FeatureKind]
Read = Callable[[int], None]
"""Told how much more of `Table.size` was read."""
Values = Sequence[float | str | bool | None]


@dataclass(frozen=True)
class Chunk:
    """Some rows: numbers (NaN where missing) for numeric columns, texts for categorical ones.

    `bad` says of a column why a value of it is not of its kind; the first one, with its row or line.
    """

    rows: int
    columns: Mapping[str, Floats | Coded]
    bad: Mapping[str, str] = field(default_factory=dict)


class Table(Protocol):
    """One file of data. Its methods raise ConfigError when it is not what its name says."""

    @property
    def path(self) -> Path:
        """Where it lies."""

    @property
    def size(self) -> int:
        """What a whole reading adds up to: bytes, or cells."""

    def types(self, read: Read) -> Mapping[str, str]:
        """The type of every column."""

    def chunks(self, kinds: Kinds, read: Read) -> Iterator[Chunk]:
        """All rows, of these columns."""


class Unfit(ValueError):
    """A value that is not of its column's kind: `at` is its place in the chunk."""

    def __init__(self, at: int, what: str) -> None:
        super().__init__(what)
        self.at = at


def columns(
    given: Mapping[str, Values], kinds: Kinds, rows: int, where: Callable[[int], str], missing: frozenset[str]
) -> Chunk:
    """A chunk from Python values; None and the texts in `missing` are missing. `where` names the place of a row."""
    found: dict[str, Floats | Coded] = {}
    bad: dict[str, str] = {}
    for name, kind in kinds.items():
        try:
            found[name] = numbers(given[name], missing) if kind == "numeric" else texts(given[name], missing)
        except Unfit as error:
            bad[name] = f"{where(error.at)}: {error}"
    return Chunk(rows, found, bad)


def numbers(values: Values, missing: frozenset[str] = frozenset()) -> Floats:
    """As float64; texts must be written as numbers. Integers beyond its range become infinities. Raises Unfit."""
    try:
        return _fast(values, missing)
    except (TypeError, ValueError, OverflowError):
        return np.array([_number(value, at, missing) for at, value in enumerate(values)], dtype=np.float64)


def _fast(values: Values, missing: frozenset[str]) -> Floats:
    if str not in set(map(type, values)):
        return np.array(values, dtype=np.float64)  # None becomes NaN
    if "_" in "".join(values):  # type: ignore[arg-type] # a TypeError where it does not hold texts only
        raise ValueError
    if missing.isdisjoint(values):
        return np.array([*map(float, values)])  # type: ignore[arg-type] # as above
    return np.array([math.nan if value in missing else float(value) for value in values])  # type: ignore[arg-type] # as above


def _number(value: float | str | bool | None, at: int, missing: frozenset[str]) -> float:
    if value is None or value in missing:
        return math.nan
    if isinstance(value, str) and "_" in value:  # which Python takes for a number
        raise Unfit(at, f"{shown(value)} is no number")
    try:
        return float(value)
    except OverflowError:
        return math.inf if isinstance(value, int) and value > 0 else -math.inf
    except (TypeError, ValueError):
        raise Unfit(at, f"{shown(value)} is no number") from None


def texts(values: Values, missing: frozenset[str] = frozenset()) -> Coded:
    """As texts; numbers as the intake writes them: 3 and 3.0 are "3", true is "true". NaN is missing. Raises Unfit."""
    return Coded.of([_text(value, at, missing) for at, value in enumerate(values)])


def _text(value: float | str | bool | None, at: int, missing: frozenset[str]) -> str | None:
    if isinstance(value, str):
        return None if value in missing else value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return class_name(value)
    raise Unfit(at, f"{shown(value)} is no category")


def texts_of_numbers(values: Floats) -> Coded:
    """The same for a whole column of numbers."""
    found, codes = np.unique(values, return_inverse=True)
    names = tuple(class_name(value) for value in found.tolist())
    coded: NDArray[np.intp] = np.where(np.isnan(values), -1, codes)
    return Coded(names, coded.astype(np.intp))


def shown(value: object) -> str:
    """A value in a message, cut where it is long."""
    told = repr(value)
    return told if len(told) <= 60 else f"{told[:57]}..."
