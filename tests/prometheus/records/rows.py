"""Rows of real data with predictions of real models, and a plain way to count them into the exporter's series."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.prometheus.records.promtool import Counts, Labels, series

EPSILON = float(np.finfo(np.float64).eps)


def version(model: str, number: int = 3) -> dict[str, str]:
    """The labels of a version."""
    return {"serving": "main", "model_name": model, "model_version": str(number)}


@dataclass(frozen=True)
class Classified:
    """Rows of a classifier. `probabilities` have one column a class."""

    classes: tuple[str, ...]
    predicted: np.ndarray
    actual: np.ndarray
    probabilities: np.ndarray


@cache
def binary() -> Classified:
    """Breast cancer from two weak features, "1" is the positive class."""
    features, actual = load_breast_cancer(return_X_y=True)
    return _classified(features[:, [1, 4]], actual, ("0", "1"))


@cache
def multiclass() -> Classified:
    """Wine from two weak features."""
    features, actual = load_wine(return_X_y=True)
    return _classified(features[:, [1, 2]], actual, ("0", "1", "2"))


def _classified(features: np.ndarray, actual: np.ndarray, classes: tuple[str, ...]) -> Classified:
    half = np.arange(len(actual)) % 2 == 0
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features[half], actual[half])
    probabilities = model.predict_proba(features)
    return Classified(classes, np.array(classes)[probabilities.argmax(1)], np.array(classes)[actual], probabilities)


@cache
def regression() -> tuple[np.ndarray, np.ndarray]:
    """Predicted and actual progression of diabetes."""
    features, actual = load_diabetes(return_X_y=True)
    half = np.arange(len(actual)) % 2 == 0
    return LinearRegression().fit(features[half], actual[half]).predict(features) + 3.0, actual


def count_classes(of: Labels, predicted: np.ndarray, actual: np.ndarray, classes: Sequence[str]) -> Counts:
    """Labelled rows by whether they were right, and by class; predictions by class."""
    counts: Counts = {}
    known = [*classes, "other"]
    for correct in ("true", "false"):
        counts[series("airbag_quality_labelled_total", **of, correct=correct)] = 0.0
    for name in known:
        counts[series("airbag_quality_predictions_total", **of, predicted=name)] = 0.0
        for kind in ("tp", "predicted", "actual"):
            counts[series("airbag_quality_class_total", **of, **{"class": name}, kind=kind)] = 0.0
    for guess, truth in zip(predicted, actual, strict=True):
        right = guess == truth
        said, was = (name if name in classes else "other" for name in (guess, truth))
        counts[series("airbag_quality_labelled_total", **of, correct="true" if right else "false")] += 1
        counts[series("airbag_quality_predictions_total", **of, predicted=said)] += 1
        counts[series("airbag_quality_class_total", **of, **{"class": said}, kind="predicted")] += 1
        counts[series("airbag_quality_class_total", **of, **{"class": was}, kind="actual")] += 1
        counts[series("airbag_quality_class_total", **of, **{"class": said}, kind="tp")] += right
    return counts


def names(bins: int) -> list[str]:
    """Of the bins, and of the one before each."""
    return ["start", *(f"{number:02d}" for number in range(bins))]


def cumulative(name: str, labels: Labels, edges: Sequence[float], values: np.ndarray, amounts: np.ndarray) -> Counts:
    """A `le` family: for each bin the amounts of all values at or below its upper edge. The last edge is infinite."""
    bins = names(len(edges) + 1)
    own = [0.0] * len(bins)
    for value, amount in zip(values, amounts, strict=True):
        own[bisect_left(edges, value) + 1] += amount
    totals = np.cumsum(own)
    return {
        series(name, **labels, bin=each, prev=before): float(total)
        for each, before, total in zip(bins, ["", *bins], totals, strict=False)
    }


def quantiles(values: np.ndarray, bins: int) -> list[float]:
    """The inner edges of bins that hold equal shares of the reference."""
    return sorted({float(edge) for edge in np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])})
