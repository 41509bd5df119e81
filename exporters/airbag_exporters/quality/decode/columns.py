"""From lists of JSON values to columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import Coded, Floats, class_name

Rows = NDArray[np.intp]
Column = Floats | Coded
_EXACT = 1 << 53  # from here on not every whole number is a float
_TABLE = 1 << 16


def floats(values: Sequence[float | None]) -> Floats:
    """NaN for None. There must be no texts in it, numpy would read them."""
    try:
        return np.fromiter(values, np.float64, len(values))
    except TypeError:
        return np.array(values, dtype=np.float64)


def numbers_or_texts(values: Sequence[str | float | None]) -> Column:
    """Floats when every value is a number that a float holds exactly, else the texts of all of them."""
    types = set(map(type, values)) - {type(None)}
    if types == {str}:
        return Coded.of(values)  # type: ignore[arg-type] # texts or None, as was just found
    if str not in types and not (int in types and any(_is_huge(value) for value in values)):
        return floats(values)  # type: ignore[arg-type] # no texts, as was just found
    return Coded.of([None if value is None else class_name(value) for value in values])


def _is_huge(value: object) -> bool:
    return type(value) is int and abs(value) > _EXACT


def texts(column: Column) -> Coded:
    """Numbers as names of classes: 3.0 is "3", NaN is missing."""
    if isinstance(column, Coded):
        return column
    known = ~np.isnan(column)
    values, codes = _unique(column if known.all() else column[known])
    all_codes = np.full(len(column), -1, dtype=np.intp)
    all_codes[known] = codes
    return Coded(tuple(map(class_name, values.tolist())), all_codes)


def _unique(column: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Different values and the place of each row's; small whole numbers, as classes mostly are, without sorting."""
    if len(column):
        low, high = float(column.min()), float(column.max())
        if high - low < _TABLE and low > -_EXACT and high < _EXACT:
            places = (column - low).astype(np.intp)
            if np.array_equal(places + low, column) and low.is_integer():
                seen = np.flatnonzero(np.bincount(places))
                table = np.zeros(int(high - low) + 1, dtype=np.intp)
                table[seen] = np.arange(len(seen))
                return seen + np.float64(low), table[places]
    values, codes = np.unique(column, return_inverse=True)
    return values, codes.astype(np.intp)


def taken(column: Column, rows: Rows) -> Column:
    """Those rows."""
    return column.take(rows) if isinstance(column, Coded) else column[rows]


def is_missing(column: Column) -> NDArray[np.bool_]:
    """Where a value is missing."""
    return column.codes < 0 if isinstance(column, Coded) else np.isnan(column)
