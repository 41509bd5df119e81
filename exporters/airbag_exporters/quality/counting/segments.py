"""The same counts for parts of the traffic, as clients name them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import Outcomes, Predictions
from airbag_exporters.quality.counting import families
from airbag_exporters.quality.counting.block import Block
from airbag_exporters.quality.counting.names import Names
from airbag_exporters.quality.counting.slices import Part
from airbag_exporters.quality.models import Spec

_CLASSIFYING = ("binary", "multiclass")


class Segments:
    """Predictions and right answers by the value of each segment. A row that lacks a segment counts as `other`."""

    def __init__(self, spec: Spec) -> None:
        self._names = {name: Names(values) for name, values in spec.quality.segments.items()}
        self._answers = ("true", "false") if spec.quality.kind in _CLASSIFYING else ("",)
        self._is_regression = spec.quality.kind == "regression"

    def parts(self) -> Iterator[Part]:
        """The series."""
        values = tuple((name, value) for name, names in self._names.items() for value in names.all)
        yield Part(families.SEGMENT_PREDICTIONS, values)
        yield Part(families.SEGMENT_LABELLED, tuple((*row, answer) for row in values for answer in self._answers))
        if self._is_regression:
            yield Part(families.SEGMENT_ERROR, values, is_float=True)

    def predictions(self, block: Block, batch: Predictions) -> None:
        """Count the predictions."""
        places = self._places(
            {name: names.of(batch.segments.get(name), len(batch)) for name, names in self._names.items()}
        )
        for each in places:
            block.add(families.SEGMENT_PREDICTIONS, np.bincount(each, minlength=self._size))

    def outcomes(self, block: Block, batch: Outcomes) -> None:
        """Count what got its label."""
        folded = {name: names.folded(batch.segments.get(name), len(batch)) for name, names in self._names.items()}
        answers = len(self._answers)
        wrong = ~batch.correct if answers == 2 and batch.correct is not None else 0
        for places in self._places(folded):
            counts = np.bincount(places * answers + wrong, minlength=self._size * answers)
            block.add(families.SEGMENT_LABELLED, counts)
            if self._is_regression and batch.value is not None and batch.target is not None:
                with np.errstate(over="ignore"):  # a sum stops at the largest number
                    errors = np.bincount(places, np.abs(batch.value - batch.target), minlength=self._size)
                block.add(families.SEGMENT_ERROR, errors)

    @property
    def _size(self) -> int:
        return sum(len(names) for names in self._names.values())

    def _places(self, by_name: Mapping[str, NDArray[np.intp]]) -> Iterator[NDArray[np.intp]]:
        """The places among the values of all segments."""
        start = 0
        for name, places in by_name.items():
            yield places + start
            start += len(self._names[name])
