"""The features of events as columns, for one version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from airbag_exporters.quality.columns import Floats
from airbag_exporters.quality.decode.columns import Column, Rows, floats, values
from airbag_exporters.quality.decode.given import Mask
from airbag_exporters.quality.decode.problems import Problems
from airbag_exporters.quality.decode.shapes import Shape
from airbag_exporters.quality.models import Spec

Values = Sequence[Any]  # of one field of many events, as its type in `events` says


class FeatureColumns:
    """Gathers the features of events, chunk by chunk; `unknown` counts values of features that are not known."""

    def __init__(self, spec: Spec) -> None:
        self.unknown = 0
        self._kinds = spec.features
        self._names = tuple(spec.features)
        self._numeric = tuple(name for name, kind in spec.features.items() if kind == "numeric")
        self._blocks: list[Floats] = []  # (rows, numeric features) each
        self._texts: dict[str, list[Any]] = {name: [] for name in self._names if spec.features[name] != "numeric"}
        self._there: list[Mask] = []

    def add(self, rows: Rows, given: Values, shape: Shape | None, problems: Problems) -> None:
        """Features as an event may give them: by name, in order, as a struct of that shape, or None."""
        kinds = set(map(type, given))
        there = is_given(given) if type(None) in kinds else np.ones(len(given), np.bool_)
        self._there.append(there)
        if len(kinds) > 1 or shape is None or dict in kinds or not there.all():
            self._add_columns(rows, self._by_name(rows, given, shape, problems) if there.any() else {}, problems)
        elif list in kinds:
            self._add_arrays(rows, given, shape, problems)
        else:
            self._add_structs(rows, list(map(msgspec.structs.astuple, given)), shape, problems)

    def columns(self) -> Mapping[str, Column]:
        """Every known feature, if there was any."""
        if not self.given().any():
            return {}
        numeric = np.ascontiguousarray(np.concatenate(self._blocks).T)
        by_name: dict[str, Column] = dict(zip(self._numeric, numeric, strict=True))
        by_name.update({name: values(texts) for name, texts in self._texts.items()})
        return {name: by_name[name] for name in self._names}

    def given(self) -> Mask:
        """Which events had features at all."""
        return np.concatenate(self._there)

    def _add_structs(self, rows: Rows, tuples: list[tuple[Any, ...]], shape: Shape, problems: Problems) -> None:
        if shape.names == self._numeric == self._names and shape.are_numbers:
            self._blocks.append(_block(tuples, len(self._names)))
        else:
            columns = dict(zip(shape.names, zip(*tuples, strict=True), strict=True))
            self._add_columns(rows, columns, problems, shape.numeric)

    def _add_arrays(self, rows: Rows, given: Values, shape: Shape, problems: Problems) -> None:
        if set(map(len, given)) != {len(self._names)}:
            self._add_columns(rows, self._by_name(rows, given, shape, problems), problems)
        elif shape.are_numbers and not self._texts:
            self._blocks.append(_block(given, len(self._names)))
        else:
            self._add_columns(rows, dict(zip(self._names, zip(*given, strict=True), strict=True)), problems)

    def _add_columns(
        self, rows: Rows, columns: Mapping[str, Values], problems: Problems, are_numbers: frozenset[str] = frozenset()
    ) -> None:
        """Features by name; those that are not there are missing. In the columns `are_numbers` there are no texts."""
        for name, given in columns.items():
            if name not in self._kinds:
                self.unknown += len(given) - given.count(None)
        block = np.full((len(rows), len(self._numeric)), np.nan)
        for place, name in enumerate(self._numeric):
            if name in columns:
                given = columns[name]
                block[:, place] = floats(given if name in are_numbers else _numbers(rows, name, given, problems))
        self._blocks.append(block)
        for name, texts in self._texts.items():
            texts.extend(columns.get(name, (None,) * len(rows)))

    def _by_name(self, rows: Rows, given: Values, shape: Shape | None, problems: Problems) -> dict[str, Values]:
        """Columns of features that were given in different ways."""
        each = [self._named(row, features, shape, problems) for row, features in zip(rows.tolist(), given, strict=True)]
        names = dict.fromkeys(chain.from_iterable(each))
        return {name: [features.get(name) for features in each] for name in names}

    def _named(self, row: int, given: Any, shape: Shape | None, problems: Problems) -> Mapping[str, Any]:
        if isinstance(given, dict):
            return given
        if isinstance(given, list):
            if len(given) == len(self._names):
                return dict(zip(self._names, given, strict=True))
            text = f"Expected {len(self._names)} values, one for each known feature, got {len(given)}"
            problems.add(row, "features", text)
        elif given is not None and shape is not None:
            return dict(zip(shape.names, msgspec.structs.astuple(given), strict=True))
        return {}


def is_given(values: Values) -> Mask:
    """Where there is a value."""
    return np.array([value is not None for value in values], np.bool_)


def _block(rows: Values, columns: int) -> Floats:
    """Numbers or None, a sequence a row."""
    try:
        return np.fromiter(chain.from_iterable(rows), np.float64, columns * len(rows)).reshape(len(rows), columns)
    except TypeError:  # None
        return np.array(rows, dtype=np.float64)


def _numbers(rows: Rows, name: str, values: Values, problems: Problems) -> Values:
    if str not in set(map(type, values)):
        return values
    wrong = np.array([isinstance(value, str) for value in values])
    problems.add_rows(rows[wrong], f"features.{name}", "Expected a number, as this is a numeric feature")
    return [None if isinstance(value, str) else value for value in values]
