"""The values of features, and of the score as one of them, in the bins of the reference."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import Coded, Floats, Outcomes, Predictions, as_classes, as_numbers
from airbag_exporters.quality.counting import families
from airbag_exporters.quality.counting.block import Block
from airbag_exporters.quality.counting.names import Names
from airbag_exporters.quality.counting.numbers import Edges, Ints, Values, as_values
from airbag_exporters.quality.counting.slices import Part, bins
from airbag_exporters.quality.models import DEFAULT_REF, Spec
from airbag_exporters.quality.reference.value import Categorical, Numeric

SCORE = "score"
"""The feature that a model's score is, or the number that a regression predicted."""

_FEW_ROWS = 3_000  # up to here comparing all features at once is faster than one after the other
_COMPARED = 1 << 18  # answers at a time, a byte each, so that they stay in the processor's cache
_WORD = 64  # bits that are counted at once
_LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True)
class NumericFeature:
    """Inner edges of its bins, and the range beyond which values are out of range."""

    name: str
    ref: str = DEFAULT_REF
    inner: tuple[float, ...] = ()
    lowest: float = -_LARGEST
    highest: float = _LARGEST

    @classmethod
    def of(cls, name: str, ref: str, profile: Numeric) -> NumericFeature:
        """As the reference has it."""
        lowest, highest = max(profile.minimum, -_LARGEST), min(profile.maximum, _LARGEST)
        return cls(name, ref, profile.edges, lowest, highest)

    @property
    def below(self) -> float:
        """The largest number that is out of range for being too small."""
        return math.nextafter(self.lowest, -math.inf)

    @cached_property
    def edges(self) -> Floats:
        """All values at which is counted, in order: the inner edges, both ends of the range, and infinity."""
        return np.sort([*self.inner, self.below, self.highest, np.inf])

    def place(self, edge: float) -> int:
        """Where that edge is."""
        return int(np.searchsorted(self.edges, edge))


class NumericFeatures:
    """Some numeric features that always come together. `first_bin` and `first` are where their counters begin."""

    def __init__(self, features: Sequence[NumericFeature], first_bin: int, first: int) -> None:
        self.features = features
        self._edges = [Edges(each.edges) for each in features]
        self._width = max(map(len, self._edges), default=0)
        self._table = np.full((self._width, len(features), 1), np.inf)
        for number, each in enumerate(features):
            self._table[: len(each.edges), number, 0] = each.edges
        self._counters = slice(first, first + len(features))
        bins_to: list[int] = []
        for each in features:
            first_bin += 1  # the series `start`
            bins_to += range(first_bin, first_bin + len(each.inner) + 1)
            first_bin += len(each.inner) + 1
        self._bins_to = np.array(bins_to, np.intp)
        self._bins_from = self._places([(*each.inner, np.inf) for each in features])
        self._below = self._places([(each.below,) for each in features])
        self._highest = self._places([(each.highest,) for each in features])
        self._all = self._places([(np.inf,) for _ in features])

    def count(self, block: Block, columns: Sequence[Values | None], rows: int) -> None:
        """Add a batch. A feature whose column is None is missing in every row."""
        if not self.features:
            return
        counts = (self._together(columns, rows) if rows <= _FEW_ROWS else self._one_by_one(columns)).ravel()
        block.of(families.FEATURE_LE)[self._bins_to] += counts[self._bins_from]
        present = counts[self._all]
        block.of(families.FEATURE_MISSING)[self._counters] += rows - present
        block.of(families.OUT_OF_RANGE)[self._counters] += counts[self._below] + present - counts[self._highest]

    def _together(self, columns: Sequence[Values | None], rows: int) -> Ints:
        """(features, edges) cumulative counts: all rows with all edges at once, the answers as bits, which are counted.

        Twice as fast as searching where there are few rows (measured with 20 features).
        """
        counts = np.zeros((self._width, len(columns)), np.int64)
        step = max(1, _COMPARED // (self._table.size * _WORD)) * _WORD
        for start in range(0, rows, step):
            some = min(step, rows - start)
            values = np.full((len(columns), -(-some // _WORD) * _WORD), np.nan)
            for row, column in zip(values, columns, strict=True):
                if column is not None:
                    row[:some] = column[start : start + some]
            bits = np.packbits(values <= self._table).view(np.uint64)
            counts += np.bitwise_count(bits).reshape(*counts.shape, -1).sum(axis=2, dtype=np.int64)
        return counts.T

    def _one_by_one(self, columns: Sequence[Values | None]) -> Ints:
        counts = np.zeros((len(columns), self._width), np.int64)
        for row, column, edges in zip(counts, columns, self._edges, strict=True):
            if column is not None:
                row[: len(edges)] = edges.at_or_below(column)
        return counts

    def _places(self, edges: Sequence[Sequence[float]]) -> NDArray[np.intp]:
        """Where the counts at some edges of each feature are, among those of all."""
        return np.array(
            [
                number * self._width + feature.place(edge)
                for number, feature in enumerate(self.features)
                for edge in edges[number]
            ],
            np.intp,
        )


class Features:
    """Numeric features in cumulative bins, categorical ones by category.

    Columns that no row of a batch has are missing in all of its rows, but only if it has features at all: a client
    that never sends any is no fault of the model. A feature that the reference does not know has one bin, or the
    category `other`.
    """

    def __init__(self, spec: Spec) -> None:
        profiles = spec.reference.features if spec.reference else {}
        kinds = spec.features.items()
        numeric = [_numeric(name, spec, profiles.get(name)) for name, kind in kinds if kind == "numeric"]
        texts = {name: profiles.get(name) for name, kind in kinds if kind == "categorical"}
        self._refs = {name: spec.ref if isinstance(each, Categorical) else DEFAULT_REF for name, each in texts.items()}
        self._texts = {
            name: Names(tuple(each.counts) if isinstance(each, Categorical) else ()) for name, each in texts.items()
        }
        scores = [] if spec.quality.kind == "translation" else [_score(spec)]
        self._is_value = spec.quality.kind == "regression"
        self._numeric = NumericFeatures(numeric, 0, 0)
        self._score = NumericFeatures(scores, sum(len(each.inner) + 2 for each in numeric), len(numeric))

    def parts(self) -> Iterator[Part]:
        """The series."""
        numeric = (*self._numeric.features, *self._score.features)
        rows = tuple((each.name, each.ref, *one) for each in numeric for one in bins(len(each.inner) + 1))
        yield Part(families.FEATURE_LE, rows)
        yield Part(families.OUT_OF_RANGE, tuple((each.name,) for each in numeric))
        yield Part(
            families.FEATURE_MISSING, tuple((name,) for name in (*(each.name for each in numeric), *self._texts))
        )
        categories = tuple((name, self._refs[name], each) for name, names in self._texts.items() for each in names.all)
        yield Part(families.FEATURE_CATEGORY, categories)

    def predictions(self, block: Block, batch: Predictions) -> None:
        """Count the values."""
        if batch.features:
            columns = [_as_numbers(batch.features.get(each.name)) for each in self._numeric.features]
            self._numeric.count(block, columns, len(batch))
            self._count_texts(block, batch.features, len(batch))
        score = batch.value if self._is_value else batch.score
        if score is not None:
            self._score.count(block, [as_values(score)], len(batch))

    def outcomes(self, block: Block, batch: Outcomes) -> None:
        """Nothing: features come with predictions."""

    def _count_texts(self, block: Block, columns: Mapping[str, Floats | Coded], rows: int) -> None:
        counters, missing = block.of(families.FEATURE_CATEGORY), block.of(families.FEATURE_MISSING)
        start, place = 0, len(self._numeric.features) + len(self._score.features)
        for name, names in self._texts.items():
            column = _as_texts(columns.get(name))
            if column is None:
                missing[place] += rows
            else:
                counts, without = names.counted(column)
                counters[start : start + len(names)] += counts
                missing[place] += without
            start, place = start + len(names), place + 1


def _numeric(name: str, spec: Spec, profile: Numeric | Categorical | None) -> NumericFeature:
    return NumericFeature.of(name, spec.ref, profile) if isinstance(profile, Numeric) else NumericFeature(name)


def _score(spec: Spec) -> NumericFeature:
    if spec.reference and spec.reference.score:
        return NumericFeature.of(SCORE, spec.ref, spec.reference.score)
    return NumericFeature(SCORE, inner=tuple(spec.drift_edges.tolist()))


def _as_numbers(column: Floats | Coded | None) -> Values | None:
    if column is None:
        return None
    return as_values(as_numbers(column) if isinstance(column, Coded) else column)


def _as_texts(column: Floats | Coded | None) -> Coded | None:
    if column is None or isinstance(column, Coded):
        return column
    texts = as_classes(column)
    return Coded(texts.values, np.where(np.isnan(column), -1, texts.codes))
