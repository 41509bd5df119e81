"""A batch as columns: what every format is decoded to, and what is joined and counted.

All columns of a batch have n entries, one a row, in the order in which they came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from airbag.errors import AirbagError

Floats = NDArray[np.float64]
Keys = NDArray[np.uint64]
"""Hashed ids, see `hashing`."""
OTHER = "other"


class Owner(NamedTuple):
    """Whose prediction it is. Models and versions that are not known are called `other`."""

    serving: str
    model: str
    version: str


class BadBatch(AirbagError):
    """A batch that is refused whole; the message names the line (or item) and the field."""

    reason = "batch"


@dataclass(frozen=True)
class Coded:
    """A column of texts, each different text once: row i is `values[codes[i]]`, and missing where the code is -1."""

    values: tuple[str, ...]
    codes: NDArray[np.intp]

    @classmethod
    def of(cls, texts: Sequence[str | None]) -> Coded:
        """From a text a row, None where it is missing."""
        numbers: dict[str, int] = {}
        codes = [-1 if text is None else numbers.setdefault(text, len(numbers)) for text in texts]
        return cls(tuple(numbers), np.array(codes, dtype=np.intp))

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Coded:
        """Those rows; the values stay as they are."""
        return Coded(self.values, self.codes[rows])

    def looked_up(self, find: Callable[[str], int], missing: int) -> NDArray[np.intp]:
        """A number a row: what `find` says of its text, asked once a different text; `missing` where there is none."""
        table = np.array([*(find(value) for value in self.values), missing], dtype=np.intp)
        return table[self.codes]  # -1 is the last entry


@dataclass(frozen=True)
class Predictions:
    """What one version answered. A column that the batch does not have is None.

    `keys` are the hashed ids; without them there is no join and no protection from a second delivery. `predicted` is
    the class, `value` the number that a regression gave, `texts` a translation. `score` is the probability of the
    positive class or of the predicted one, NaN where missing. `scores` (n, classes) are probabilities in the order of
    the model's classes. `features` holds numeric columns (NaN where missing) and texts. `at` and `latency` are in
    seconds, the first since the epoch. `actual` is there when the label was known at once.
    """

    owner: Owner
    at: Floats
    keys: Keys | None = None
    predicted: Coded | None = None
    value: Floats | None = None
    texts: Sequence[str] | None = None
    score: Floats | None = None
    scores: Floats | None = None
    features: Mapping[str, Floats | Coded] = field(default_factory=dict)
    segments: Mapping[str, Coded] = field(default_factory=dict)
    latency: Floats | None = None
    actual: Coded | Floats | None = None

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: NDArray[np.intp]) -> Predictions:
        """Those rows, of every column."""
        columns: dict[str, Any] = {each.name: _taken(getattr(self, each.name), rows) for each in fields(self)[1:]}
        return replace(self, **columns)


@dataclass(frozen=True)
class Labels:
    """What was true for the predictions of the same ids.

    `actual` is a text or a number a row: which of both a model wants is only known once its prediction is found.
    """

    keys: Keys
    actual: Coded | Floats
    at: Floats

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: slice) -> Labels:
        """Those rows."""
        actual = self.actual[rows] if isinstance(self.actual, np.ndarray) else self.actual.take(rows)
        return Labels(self.keys[rows], actual, self.at[rows])


@dataclass(frozen=True)
class Outcomes:
    """Labelled predictions of one version; every column has n entries.

    `predicted` and `actual` are numbers of classes, the one after the last is `other`; `correct` was decided by the
    names, so that two classes that both are `other` may differ. `score` as in Predictions; `scores` (n, classes) is
    NaN in the rows that had none. A regression has `value` (predicted) and `target`, a ranking the `target` 0 or 1, a
    translation `texts`: pairs of output and reference. `segments` are numbers of values, the one after the last is
    `other`. `delay` is in seconds, from prediction to label.
    """

    owner: Owner
    delay: Floats
    segments: Mapping[str, NDArray[np.intp]]
    predicted: NDArray[np.intp] | None = None
    actual: NDArray[np.intp] | None = None
    correct: NDArray[np.bool_] | None = None
    score: Floats | None = None
    scores: Floats | None = None
    value: Floats | None = None
    target: Floats | None = None
    texts: Sequence[tuple[str, str]] | None = None

    def __len__(self) -> int:
        return len(self.delay)


def portions(batch: Sequence[Predictions], rows: int) -> list[Sequence[Predictions]]:
    """A batch in portions of at most `rows` rows: mostly the batch itself."""
    if sum(len(part) for part in batch) <= rows:
        return [batch]
    starts = [(part, start) for part in batch for start in range(0, len(part), rows)]
    return [[part.take(np.arange(start, min(start + rows, len(part))))] for part, start in starts]


def _taken(column: object, rows: NDArray[np.intp]) -> object:
    if isinstance(column, np.ndarray):
        return column[rows]
    if isinstance(column, Coded):
        return column.take(rows)
    if isinstance(column, Mapping):
        return {name: _taken(each, rows) for name, each in column.items()}
    return [column[row] for row in rows] if isinstance(column, Sequence) else column


def as_classes(actual: Coded | Floats) -> Coded:
    """Labels as names of classes: 3 and 3.0 are the class "3"."""
    if isinstance(actual, Coded):
        return actual
    values, codes = np.unique(actual, return_inverse=True)
    return Coded(tuple(class_name(value) for value in values.tolist()), codes.astype(np.intp))


def class_name(value: str | float) -> str:
    """The name of a class that may have been given as a number."""
    if isinstance(value, str):
        return value
    return str(int(value)) if float(value).is_integer() else repr(value)


def as_numbers(actual: Coded | Floats) -> Floats:
    """Labels as numbers; NaN for a text that is none."""
    if not isinstance(actual, Coded):
        return actual
    table = np.array([*(_number(value) for value in actual.values), np.nan])
    return table[actual.codes]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan
