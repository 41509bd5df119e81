"""Sums that MAE, RMSE, bias and R2 follow from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import Floats, Outcomes, Predictions
from airbag_exporters.quality.counting import families
from airbag_exporters.quality.counting.block import Block
from airbag_exporters.quality.counting.slices import Part, series_rows
from airbag_exporters.quality.models import Spec

_SIGNS = series_rows(("positive", "negative"))


class Regression:
    """Errors, and the actual numbers minus the mean of the reference, so that their squares keep their digits.

    What may be negative is summed by its sign, because a counter must not fall.
    """

    def __init__(self, spec: Spec) -> None:
        self._center = target_center(spec)

    def parts(self) -> Iterator[Part]:
        """The series."""
        yield Part(families.SQUARED_ERROR, is_float=True)
        yield Part(families.ABSOLUTE_ERROR, is_float=True)
        yield Part(families.ERROR, _SIGNS, is_float=True)
        yield Part(families.TARGET, _SIGNS, is_float=True)
        yield Part(families.TARGET_SQUARED, is_float=True)

    def predictions(self, block: Block, batch: Predictions) -> None:
        """Nothing: the bins of what was predicted are those of the feature `score`."""

    def outcomes(self, block: Block, batch: Outcomes) -> None:
        """Sum the errors; every row is `countable`."""
        if batch.value is None or batch.target is None:
            return
        error, target = batch.value - batch.target, batch.target - self._center
        with np.errstate(over="ignore"):  # a sum stops at the largest number
            block.add(families.SQUARED_ERROR, np.square(error).sum())
            block.add(families.ABSOLUTE_ERROR, np.abs(error).sum())
            block.add(families.ERROR, _by_sign(error))
            block.add(families.TARGET, _by_sign(target))
            block.add(families.TARGET_SQUARED, np.square(target).sum())


def target_center(spec: Spec) -> float:
    """What is subtracted from actual numbers before they are summed."""
    return spec.reference.target_mean if spec.reference else 0.0


def countable(spec: Spec, batch: Outcomes) -> NDArray[np.bool_]:
    """(n,) rows in which both numbers are there, and their squares are finite."""
    if batch.value is None or batch.target is None:
        return np.zeros(len(batch), np.bool_)
    with np.errstate(over="ignore", invalid="ignore"):
        error, target = batch.value - batch.target, batch.target - target_center(spec)
        return np.isfinite(np.square(error)) & np.isfinite(np.square(target))


def _by_sign(values: Floats) -> Floats:
    return np.array([np.maximum(values, 0).sum(), np.maximum(-values, 0).sum()])
