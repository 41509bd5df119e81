"""How sure a classifier was, and how well its probabilities fit what happened."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import Floats, Outcomes, Predictions
from airbag_exporters.quality.counting import families
from airbag_exporters.quality.counting.block import Block
from airbag_exporters.quality.counting.slices import Part
from airbag_exporters.quality.models import Spec

_SLACK = 1e-6
"""How far beyond 0 and 1 a probability may be by rounding in float32."""
_EPSILON = float(np.finfo(np.float64).eps)
"""Probabilities closer than this to 0 or 1 are moved there before their logarithm, as scikit-learn does."""
_TINY = float(np.finfo(np.float64).tiny)


def are_probabilities(values: Floats) -> NDArray[np.bool_]:
    """Which values are between 0 and 1; NaN is not."""
    return (values >= -_SLACK) & (values <= 1 + _SLACK)


class Probabilities:
    """Entropies, log losses and squared errors (Brier), each a sum beside the number of rows that it is over.

    A binary model gives the probability of its positive class, any other class is then the negative one. Of more
    classes there must be all probabilities; what they leave for `other` is 0, so a label that is no known class costs
    the whole squared error and log loss. Rows without probabilities are left out.
    """

    def __init__(self, spec: Spec) -> None:
        self._is_binary = spec.quality.kind == "binary"
        self._classes = len(spec.classes)
        self._positive = spec.classes.index(spec.positive) if self._is_binary else -1

    def parts(self) -> Iterator[Part]:
        """The series."""
        yield Part(families.ENTROPY, is_float=True)
        yield Part(families.ENTROPY_ROWS)
        yield Part(families.SCORED)
        yield Part(families.SQUARED_ERROR, is_float=True)
        yield Part(families.LOG_LOSS, is_float=True)

    def predictions(self, block: Block, batch: Predictions) -> None:
        """Sum what the predictions left open."""
        _, given = self._known(batch.score, batch.scores)
        if len(given):
            block.add(families.ENTROPY, _entropy(given) + (_entropy(1 - given) if self._is_binary else 0))
            block.add(families.ENTROPY_ROWS, len(given))

    def outcomes(self, block: Block, batch: Outcomes) -> None:
        """Sum the errors of the labelled predictions."""
        rows, given = self._known(batch.score, batch.scores)
        if not len(given) or batch.actual is None:
            return
        actual = batch.actual[rows]
        if self._is_binary:
            of_truth = np.where(actual == self._positive, given, 1 - given)
            squared = np.square(1 - of_truth)
        else:
            places = np.minimum(actual, self._classes - 1)
            of_truth = np.where(actual < self._classes, given[np.arange(len(given)), places], 0.0)
            # The sum over all classes of (p - y)^2, where y is 1 for the true class and 0 for the others.
            squared = np.square(given).sum(axis=1) - np.square(of_truth) + np.square(1 - of_truth)
        block.add(families.SCORED, len(given))
        block.add(families.SQUARED_ERROR, max(0.0, float(squared.sum())))
        block.add(families.LOG_LOSS, -np.log(np.clip(of_truth, _EPSILON, 1 - _EPSILON)).sum())

    def _known(self, score: Floats | None, scores: Floats | None) -> tuple[NDArray[np.intp], Floats]:
        """The rows that have probabilities, and these: of the positive class (rows,), or (rows, classes)."""
        given = score if self._is_binary else scores
        if given is None or not self._classes:
            return np.empty(0, np.intp), np.empty(0)
        fine = are_probabilities(given)
        rows = np.flatnonzero(fine if self._is_binary else fine.all(axis=1))
        return rows, np.clip(given[rows], 0.0, 1.0)


def _entropy(probabilities: Floats) -> float:
    """-sum p ln p, over all rows; 0 ln 0 is 0."""
    logarithms = np.log(np.maximum(probabilities, _TINY))
    logarithms *= probabilities
    return -float(logarithms.sum())  # `vdot` would start the threads of BLAS, and wait for them
