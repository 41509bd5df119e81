"""From lists of JSON values to columns."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import Coded, Floats, class_name

Rows = NDArray[np.intp]
Column = Floats | Coded
_EXACT = 1 << 53  # from here on not every whole number is a float
_TABLE = 1 << 16


def floats(values: Sequence[float | None]) -> Floats:
    """NaN for None. There must be no texts in it, numpy would read them."""
    numbers = _only_numbers(values)
    return np.array(values, dtype=np.float64) if numbers is None else numbers


def values(given: Sequence[str | float | None]) -> Column:
    """A column of a feature: floats when there is no text, else the texts of all values."""
    numbers = _only_numbers(given)
    return numbers_or_texts(given) if numbers is None else numbers


def _only_numbers(values: Sequence[str | float | None]) -> Floats | None:
    """None when there is something else. The array module is as fast as numpy, which would read texts as numbers."""
    try:
        return np.frombuffer(array("d", cast("Sequence[float]", values))) if values else np.empty(0)
    except TypeError:
        return None


def numbers_or_texts(values: Sequence[str | float | None]) -> Column:
    """Floats when every value is a number that a float holds exactly, else the texts of all of them."""
    types = set(map(type, values)) - {type(None)}
    if types == {str}:
        return _coded(values)  # type: ignore[arg-type] # texts or None, as was just found
    if str not in types and not (int in types and any(map(_is_huge, values))):
        return floats(values)  # type: ignore[arg-type] # no texts, as was just found
    return _coded([None if value is None else class_name(value) for value in values])


def _coded(texts: Sequence[str | None]) -> Coded:
    """As Coded.of, three times as fast for large columns."""
    values = [text for text in dict.fromkeys(texts) if text is not None]
    numbers: dict[str | None, int] = {text: number for number, text in enumerate(values)}
    numbers[None] = -1
    return Coded(tuple(values), np.fromiter(map(numbers.__getitem__, texts), np.intp, len(texts)))


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


def joined(columns: Sequence[Column]) -> Column:
    """One column of several; texts if one of them has texts."""
    if len(columns) == 1:
        return columns[0]
    numeric = [column for column in columns if isinstance(column, np.ndarray)]
    if len(numeric) == len(columns):
        return np.concatenate(numeric)
    numbers: dict[str, int] = {}
    codes = []
    for column in map(texts, columns):
        table = [numbers.setdefault(value, len(numbers)) for value in column.values]
        codes.append(np.array([*table, -1], dtype=np.intp)[column.codes])
    return Coded(tuple(numbers), np.concatenate(codes))


def owners(columns: Sequence[Coded], size: int) -> tuple[list[tuple[str | None, ...]], Rows]:
    """The different rows of several columns of texts, and which of them each row is; `size` is the number of rows."""
    different: list[tuple[str | None, ...]] = [()]
    codes = np.zeros(size, dtype=np.intp)
    for column in columns:
        values = (*column.values, None)  # -1 is the last entry
        pairs = codes * len(values) + column.codes % len(values)
        if len(different) * len(values) <= _TABLE:
            found = np.flatnonzero(np.bincount(pairs))
            table = np.zeros(len(different) * len(values), dtype=np.intp)
            table[found] = np.arange(len(found))
            codes = table[pairs]
        else:
            found, codes = np.unique(pairs, return_inverse=True)
        pair = [divmod(number, len(values)) for number in found.tolist()]
        different = [(*different[before], values[own]) for before, own in pair]
    return different, codes.astype(np.intp)
