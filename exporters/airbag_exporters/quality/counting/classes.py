"""What was predicted, what was true, and the confusion of both."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from airbag_exporters.quality.columns import Outcomes, Predictions
from airbag_exporters.quality.counting import families
from airbag_exporters.quality.counting.block import Block
from airbag_exporters.quality.counting.names import Names
from airbag_exporters.quality.counting.slices import Part, series_rows
from airbag_exporters.quality.models import Spec

_ANSWERS = ("true", "false")


class Rows:
    """Predictions and labels of a model without classes: how many there were."""

    def __init__(self, _spec: Spec) -> None:
        """Every model of such a kind has the same."""

    def parts(self) -> Iterator[Part]:
        """The series."""
        yield Part(families.PREDICTIONS, (("",),))
        yield Part(families.LABELLED, (("",),))

    def predictions(self, block: Block, batch: Predictions) -> None:
        """Count what was predicted."""
        block.add(families.PREDICTIONS, len(batch))

    def outcomes(self, block: Block, batch: Outcomes) -> None:
        """Count what got its label."""
        block.add(families.LABELLED, len(batch))


class Classes:
    """Predictions by class, and right and wrong ones by both classes.

    Two classes that both are `other` may be the same or not, so that pair has a series for either.
    """

    def __init__(self, spec: Spec) -> None:
        self._names = Names(spec.classes)
        self._has_pairs = len(spec.classes) <= spec.quality.confusion_classes_max

    def parts(self) -> Iterator[Part]:
        """The series."""
        names = self._names.all
        yield Part(families.PREDICTIONS, series_rows(names))
        yield Part(families.LABELLED, series_rows(_ANSWERS))
        yield Part(families.CLASS, series_rows(names, ("tp", "predicted", "actual")))
        if self._has_pairs:
            other = names[self._names.other]
            pairs = tuple(
                (predicted, actual, _ANSWERS[predicted != actual or predicted == other])
                for predicted, actual in series_rows(names, names)
            )
            yield Part(families.OUTCOMES, (*pairs, (other, other, "true")))

    def predictions(self, block: Block, batch: Predictions) -> None:
        """Count what was predicted."""
        if batch.predicted is None:
            block.of(families.PREDICTIONS)[self._names.other] += len(batch)
        else:
            counts, missing = self._names.counted(batch.predicted)
            counts[self._names.other] += missing
            block.add(families.PREDICTIONS, counts)

    def outcomes(self, block: Block, batch: Outcomes) -> None:
        """Count what got its label."""
        size, other = len(self._names), self._names.other
        predicted = self._names.folded(batch.predicted, len(batch))
        actual = self._names.folded(batch.actual, len(batch))
        correct = predicted == actual if batch.correct is None else batch.correct
        right = np.count_nonzero(correct)
        block.add(families.LABELLED, (right, len(batch) - right))

        pairs = np.bincount(predicted * size + actual, minlength=size * size).reshape(size, size)
        right_others = np.count_nonzero(correct & (predicted == other) & (actual == other))
        hits = pairs.diagonal().copy()
        hits[other] = right_others
        block.add(families.CLASS, np.stack([hits, pairs.sum(axis=1), pairs.sum(axis=0)], axis=1).ravel())
        if self._has_pairs:
            pairs[other, other] -= right_others
            block.add(families.OUTCOMES, np.append(pairs, right_others))
