"""Labelled scores in fine bins, from which AUC and calibration follow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import Outcomes, Predictions
from airbag_exporters.quality.counting import families
from airbag_exporters.quality.counting.block import Block
from airbag_exporters.quality.counting.numbers import Edges
from airbag_exporters.quality.counting.probabilities import are_probabilities
from airbag_exporters.quality.counting.slices import Part, bins
from airbag_exporters.quality.models import DEFAULT_REF, Spec


class Scores:
    """Scores by bin and by what was true: the positive class (binary), relevance (ranking), or that the predicted
    class was right (multiclass). Where scores are probabilities, rows in which they are none are left out; of a
    ranking only rows without a score are.
    """

    def __init__(self, spec: Spec) -> None:
        self._kind = spec.quality.kind
        self._positive = spec.classes.index(spec.positive) if self._kind == "binary" else -1
        self._edges = Edges(spec.score_edges)
        self._ref = spec.ref if spec.reference and spec.reference.score_edges else DEFAULT_REF

    def parts(self) -> Iterator[Part]:
        """The series."""
        labels = bins(len(self._edges) + 1)
        yield Part(families.SCORE_LE, tuple((self._ref, actual, *each) for actual in "01" for each in labels))
        if self._kind != "ranking":
            yield Part(families.SCORE_SUM_LE, tuple((self._ref, *each) for each in labels), is_float=True)

    def predictions(self, block: Block, batch: Predictions) -> None:
        """Nothing: the bins of unlabelled scores are those of the feature `score`."""

    def outcomes(self, block: Block, batch: Outcomes) -> None:
        """Count the labelled scores."""
        truth = self._truth(batch)
        if batch.score is None or truth is None:
            return
        known = ~np.isnan(batch.score) if self._kind == "ranking" else are_probabilities(batch.score)
        score, truth = batch.score[known], truth[known]
        bin_count = len(self._edges) + 1
        places = self._edges.places(score)
        counts = np.bincount(places + bin_count * truth, minlength=2 * bin_count).reshape(2, bin_count)
        block.of(families.SCORE_LE).reshape(2, bin_count + 1)[:, 1:] += counts.cumsum(axis=1)
        if self._kind != "ranking":
            sums = np.bincount(places, np.clip(score, 0.0, 1.0), minlength=bin_count)
            block.of(families.SCORE_SUM_LE)[1:] += sums.cumsum()

    def _truth(self, batch: Outcomes) -> NDArray[np.bool_] | None:
        if self._kind == "binary":
            return None if batch.actual is None else batch.actual == self._positive
        if self._kind == "ranking":
            return None if batch.target is None else batch.target > 0
        return batch.correct
