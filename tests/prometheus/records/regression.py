"""Errors of numbers, against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from tests.prometheus.records.promtool import Case, Counts, Sample, gauges, replayed, series
from tests.prometheus.records.rows import regression, version

MEAN = 140.0
"""The reference's target mean: near the real one, and not equal to it."""


def case() -> Case:
    """Diabetes; beside it a classifier that shares a counter's name."""
    of = version("diabetes")
    predicted, actual = regression()

    def count(rows: np.ndarray) -> Counts:
        error, target = (predicted - actual)[rows], actual[rows] - MEAN
        return {
            series("airbag_quality_labelled_total", **of, correct=""): float(len(rows)),
            series("airbag_quality_squared_error_total", **of): float((error**2).sum()),
            series("airbag_quality_absolute_error_total", **of): float(np.abs(error).sum()),
            series("airbag_quality_target_squared_total", **of): float((target**2).sum()),
            **_signed("airbag_quality_error_total", error),
            **_signed("airbag_quality_target_total", target),
            series("airbag_quality_labelled_total", **version("two"), correct="true"): float(len(rows)),
            series("airbag_quality_squared_error_total", **version("two")): float(len(rows)) / 4,
        }

    def _signed(name: str, values: np.ndarray) -> Counts:
        return {
            series(name, **of, sign="positive"): float(values.clip(min=0).sum()),
            series(name, **of, sign="negative"): float((-values).clip(min=0).sum()),
        }

    info = {
        series("airbag_quality_model_info", serving="main", model_name="diabetes", kind="regression"): 1.0,
        series("airbag_quality_model_info", serving="main", model_name="two", kind="binary"): 1.0,
    }
    off = np.abs(predicted - actual)
    wanted = {
        "squared_error:increase": (off**2).sum(),
        "mae:mean": mean_absolute_error(actual, predicted),
        "mae:stderr": off.std() / math.sqrt(len(off)),
        "rmse:root": root_mean_squared_error(actual, predicted),
        "bias:mean": (predicted - actual).mean(),
        "r2:ratio": r2_score(actual, predicted),
    }
    return Case(
        replayed(count, len(actual)) | gauges(info),
        [Sample(f"model_version:airbag_quality_{name}5m", of, value, 1e-6) for name, value in wanted.items()],
    )
