"""From events to columns, a builder for each version that is named."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from airbag_exporters.quality.columns import Coded, Floats
from airbag_exporters.quality.decode.columns import Column, Rows, floats, numbers_or_texts
from airbag_exporters.quality.decode.features import FeatureColumns, Values, is_given
from airbag_exporters.quality.decode.given import Given, Ids
from airbag_exporters.quality.decode.owners import Known
from airbag_exporters.quality.decode.problems import Problems
from airbag_exporters.quality.decode.shapes import Shape
from airbag_exporters.quality.hashing import hash_texts


class Builder:
    """Gathers the events of one version, chunk by chunk."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._rows: list[Rows] = []
        self._fields: dict[str, list[Any]] = {name: [] for name in _GATHERED}
        self._features = FeatureColumns(known.spec)
        self._segments: dict[str, list[str | int | None]] = {name: [] for name in known.spec.quality.segments}
        self._unknown_segments = 0
        self.width = len(known.spec.features) + len(known.spec.classes)
        """How many numbers a row may need."""

    @property
    def unknown(self) -> int:
        """How many values of features and segments were left out because nobody knows them."""
        return self._features.unknown + self._unknown_segments

    def add(self, rows: Rows, fields: Mapping[str, Values], shape: Shape | None, problems: Problems) -> None:
        """Events by field; `shape` is that of the features that are structs. `rows` are their numbers in the batch."""
        self._rows.append(rows)
        for name, gathered in self._fields.items():
            gathered.extend(fields[name])
        self._features.add(rows, fields["features"], shape, problems)
        self._add_segments(fields["segments"])

    def _add_segments(self, given: Values) -> None:
        if given.count(None) == len(given):
            for gathered in self._segments.values():
                gathered.extend(given)
            return
        for name, gathered in self._segments.items():
            gathered.extend([None if segments is None else segments.get(name) for segments in given])
        for segments in filter(None, given):
            if not segments.keys() <= self._segments.keys():
                unknown = segments.keys() - self._segments.keys()
                self._unknown_segments += sum(segments[name] is not None for name in unknown)

    def given(self, problems: Problems) -> Given:
        """Everything that was added."""
        rows, featured = np.concatenate(self._rows), self._features.given()
        return Given(
            self._known.spec, self._known.owner, rows, ids_of(self._fields["id"]),
            predicted=_column(self._fields["predicted"]),
            score=_floats(self._fields["score"]),
            scores=self._scores(rows, problems),
            features=self._features.columns(),
            featured=None if featured.all() else featured,
            segments={name: _texts(values) for name, values in self._segments.items()},
            latency=_floats(self._fields["latency_seconds"]),
            at=_floats(self._fields["timestamp"]),
            actual=_column(self._fields["actual"]),
        )  # fmt: skip

    def _scores(self, rows: Rows, problems: Problems) -> Floats | None:
        given, classes = self._fields["scores"], len(self._known.spec.classes)
        if not classes or _is_empty(given):
            return None
        if None not in given and set(map(len, given)) == {classes}:
            return floats(tuple(chain.from_iterable(given))).reshape(-1, classes)
        scores = np.full((len(given), classes), np.nan)
        for row, each in zip(rows.tolist(), enumerate(given), strict=True):
            place, values = each
            if values is not None and len(values) == classes:
                scores[place] = values
            elif values is not None:
                problems.add(row, "scores", f"Expected {classes} values, one for each class, got {len(values)}")
        return scores


_GATHERED = ("id", "predicted", "score", "scores", "latency_seconds", "timestamp", "actual")


def _is_empty(values: list[Any]) -> bool:
    return values.count(None) == len(values)


def _column(values: list[Any]) -> Column | None:
    return None if _is_empty(values) else numbers_or_texts(values)


def _floats(values: list[Any]) -> Floats | None:
    return None if _is_empty(values) else floats(values)


def _texts(values: list[str | int | None]) -> Coded:
    return Coded.of([value if value is None else str(value) for value in values])


def ids_of(ids: list[str | None]) -> Ids | None:
    """None when there is no id at all."""
    if _is_empty(ids):
        return None
    known = None if None not in ids else is_given(ids)
    return Ids(hash_texts([text or "" for text in ids]), known)
