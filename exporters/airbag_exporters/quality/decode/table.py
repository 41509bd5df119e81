"""A batch that came as columns, and its parts by version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import BadBatch, Coded, Floats, Owner, Predictions
from airbag_exporters.quality.decode.columns import Column, Rows, is_missing, taken, texts
from airbag_exporters.quality.decode.decoded import Decoded
from airbag_exporters.quality.decode.given import Given, Ids, Mask
from airbag_exporters.quality.decode.judge import judged
from airbag_exporters.quality.decode.limits import Budget, check_owners
from airbag_exporters.quality.decode.owners import Known, Whose, known
from airbag_exporters.quality.decode.problems import PROBLEMS_MAX, Problems
from airbag_exporters.quality.models import Models, Spec


class Values(Protocol):
    """A column that is read once it is known to be wanted. Both may raise BadBatch."""

    def values(self) -> Column:
        """Numbers or texts."""

    def known(self) -> Mask:
        """Where there is a value."""


@dataclass(frozen=True)
class Read:
    """A column that was read already."""

    column: Column

    def values(self) -> Column:
        """The column."""
        return self.column

    def known(self) -> Mask:
        """Where it has a value."""
        return ~is_missing(self.column)


@dataclass(frozen=True)
class Ragged:
    """Lists of floats: that of row i begins at `values[starts[i]]`; `known` says which rows have one."""

    values: Floats
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    known: Mask


@dataclass(frozen=True)
class Table:
    """Columns as they were given; `codes` (n,) are the places of each row's owner in `whose`.

    `featured` says which rows gave features at all, None when all did; without any, `features` is None.
    """

    whose: Sequence[Whose]
    codes: Rows
    ids: Ids | None = None
    predicted: Column | None = None
    score: Floats | None = None
    scores: Ragged | None = None
    features: Mapping[str, Values] | None = None
    featured: Mask | None = None
    segments: Mapping[str, Values] = field(default_factory=dict)
    latency: Floats | None = None
    at: Floats | None = None
    actual: Column | None = None


def place(row: int) -> str:
    """How a message calls a row of a batch that came as columns."""
    return f"row {row + 1}"


def decode_table(table: Table, models: Models, now: float) -> Decoded:
    """Every row; BadBatch with the first ten problems."""
    check_owners(len(table.whose))
    problems = Problems(place)
    owners = _owners(table, models, problems)
    budget = Budget()
    for it, rows in owners:
        budget.spend(len(rows), len(it.spec.features) + (len(it.spec.classes) if table.scores else 0))
    unknown: Counter[tuple[str, str]] = Counter()
    parts: list[Predictions] = []
    read = _Reader(table)
    for it, rows in owners:
        parts.extend(judged(read.given(it, rows, problems), now, problems))
        count = read.unknown(it.spec, rows)
        if count:
            unknown[it.owner.serving, it.owner.model] += count
    problems.refuse()
    return Decoded(tuple(parts), unknown, len(table.codes))


def _owners(table: Table, models: Models, problems: Problems) -> list[tuple[Known, Rows]]:
    """Each owner that has rows, and which they are."""
    numbers = np.full(len(table.whose), -1, dtype=np.intp)
    found: dict[Owner, tuple[int, Known]] = {}
    for code in np.flatnonzero(np.bincount(table.codes, minlength=len(table.whose))).tolist():
        try:
            it = known(table.whose[code], models)
        except BadBatch as error:
            problems.add(int(np.argmax(table.codes == code)), "", str(error))
        else:
            numbers[code], _ = found.setdefault(it.owner, (len(found), it))
    of_row = numbers[table.codes]
    if len(found) == 1 and (of_row == 0).all():
        return [(it, np.arange(len(of_row))) for _, it in found.values()]
    order = np.argsort(of_row, kind="stable")
    bounds = np.searchsorted(of_row[order], np.arange(len(found) + 1))
    return [(it, order[bounds[number] : bounds[number + 1]]) for number, it in found.values()]


class _Reader:
    """Reads the rows of one owner after the other; columns that several want are read once."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._columns: dict[tuple[str, str], Column] = {}
        self._known: dict[tuple[str, str], Mask] = {}

    def given(self, it: Known, rows: Rows, problems: Problems) -> Given:
        """What the rows give."""
        table = self._table
        featured = None if table.featured is None else table.featured[rows]
        at, score, latency = (_floats(column, rows) for column in (table.at, table.score, table.latency))
        return Given(
            it.spec, it.owner, rows, _ids(table.ids, rows),
            predicted=_some(table.predicted, rows),
            score=score,
            scores=_scores(table.scores, rows, len(it.spec.classes), problems),
            features=self._features(it.spec, rows),
            featured=np.zeros(len(rows), np.bool_) if table.features is None else featured,
            segments=self._segments(it.spec, rows),
            latency=latency,
            at=at,
            actual=_some(table.actual, rows),
        )  # fmt: skip

    def unknown(self, spec: Spec, rows: Rows) -> int:
        """How many values of features and segments are not known."""
        table, unknown = self._table, 0
        for group, columns, names in (
            ("features", table.features or {}, spec.features), ("segments", table.segments, spec.quality.segments)
        ):  # fmt: skip
            for name in columns.keys() - names.keys():
                if (group, name) not in self._known:
                    self._known[group, name] = columns[name].known()
                unknown += int(np.count_nonzero(_taken(self._known[group, name], rows)))
        return unknown

    def _features(self, spec: Spec, rows: Rows) -> dict[str, Column]:
        """Every known feature, missing where it is no column; none when there are no features at all."""
        given = self._table.features
        if given is None:
            return {}
        numbers, texts_ = np.full(len(rows), np.nan), Coded((), np.full(len(rows), -1, dtype=np.intp))
        return {
            name: self._column("features", name, given[name], rows) if name in given
            else numbers if kind == "numeric" else texts_
            for name, kind in spec.features.items()
        }  # fmt: skip

    def _segments(self, spec: Spec, rows: Rows) -> dict[str, Coded]:
        given = self._table.segments
        return {
            name: texts(self._column("segments", name, given[name], rows))
            for name in spec.quality.segments
            if name in given
        }

    def _column(self, group: str, name: str, column: Values, rows: Rows) -> Column:
        if (group, name) not in self._columns:
            self._columns[group, name] = column.values()
        return _of(self._columns[group, name], rows)


def _of(column: Column, rows: Rows) -> Column:
    return column if len(rows) == len(column) else taken(column, rows)


def _taken(mask: Mask, rows: Rows) -> Mask:
    return mask if len(rows) == len(mask) else mask[rows]


def _some(column: Column | None, rows: Rows) -> Column | None:
    chosen = None if column is None else _of(column, rows)
    return None if chosen is None or is_missing(chosen).all() else chosen


def _floats(column: Floats | None, rows: Rows) -> Floats | None:
    chosen = _some(column, rows)
    return chosen if isinstance(chosen, np.ndarray) else None


def _ids(ids: Ids | None, rows: Rows) -> Ids | None:
    if ids is None or len(rows) == len(ids.keys):
        return ids
    return Ids(ids.keys[rows], None if ids.known is None else ids.known[rows])


def _scores(scores: Ragged | None, rows: Rows, classes: int, problems: Problems) -> Floats | None:
    if scores is None or not classes:
        return None
    there, starts, lengths = scores.known[rows], scores.starts[rows], scores.lengths[rows]
    if not there.any():
        return None
    fine = there & (lengths == classes)
    for row in np.flatnonzero(there & ~fine)[:PROBLEMS_MAX].tolist():
        text = f"Expected {classes} values, one for each class, got {lengths[row]}"
        problems.add(int(rows[row]), "scores", text)
    matrix = np.full((len(rows), classes), np.nan)
    matrix[fine] = scores.values[starts[fine][:, None] + np.arange(classes)]
    return matrix
