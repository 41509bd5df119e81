"""Accuracy, precision, recall and F1, against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from tests.prometheus.records.promtool import SCRAPES, Case, Labels, Sample, gauges, replayed, series
from tests.prometheus.records.rows import binary, count_classes, multiclass, version


def case(window: str = "5m", seconds: int = 300) -> Case:
    """Two models at once: two classes, and three with rows of classes that nobody has named."""
    shown: dict[str, list[float]] = {}
    expected: list[Sample] = []
    two, three = binary(), multiclass()
    strange = np.where(np.arange(len(three.actual)) % 20 == 0, "unheard of", three.actual)
    for model, classes, predicted, actual in (
        ("two", two.classes, two.predicted, two.actual),
        ("three", three.classes, three.predicted, strange),
    ):
        of = version(model)

        def count(rows: np.ndarray, of: Labels = of, told=classes, guess=predicted, truth=actual):  # type: ignore[no-untyped-def]
            return count_classes(of, guess[rows], truth[rows], told)

        shown |= replayed(count, len(actual))
        expected += _expected(of, predicted, np.where(actual == "unheard of", "other", actual), window)
    least = {series("airbag_quality_labels_min", serving="main", model_name="two"): 500.0}
    least |= {series("airbag_quality_labels_min", serving="main", model_name="three"): 179.0}
    expected += [
        Sample(f"model_version:airbag_quality_labelled:sufficient{window}", version("two"), 1),
        Sample(f"model_version:airbag_quality_labelled:sufficient{window}", version("three"), 0),
    ]
    return Case(shown | gauges(least), expected, scrape=seconds / SCRAPES, every=seconds, at=seconds)


def _expected(of: Labels, predicted: np.ndarray, actual: np.ndarray, w: str) -> list[Sample]:
    rows = len(actual)
    accuracy = accuracy_score(actual, predicted)
    doubt = math.sqrt(accuracy * (1 - accuracy) / rows)
    named = sorted({*actual, *predicted})
    scores = precision_recall_fscore_support(actual, predicted, labels=named, zero_division=0)
    macro = precision_recall_fscore_support(actual, predicted, average="macro", zero_division=0)
    found = [
        Sample(f"model_version:airbag_quality_labelled:increase{w}", of, rows),
        Sample(f"model_version:airbag_quality_accuracy:ratio{w}", of, accuracy),
        Sample(f"model_version:airbag_quality_accuracy:stderr{w}", of, doubt),
        Sample(f"model_version:airbag_quality_accuracy:upper_bound{w}", of, accuracy + 4 * doubt),
        *(
            Sample(f"model_version:airbag_quality_{metric}_macro:ratio{w}", of, value)
            for metric, value in zip(("precision", "recall", "f1"), macro, strict=False)
        ),
    ]
    for name, precision, recall, f1, _ in zip(named, *scores, strict=True):
        labels = {**of, "class": name}
        for metric, value, among in (("precision", precision, predicted), ("recall", recall, actual)):
            if n := (among == name).sum():  # else there is no such share
                found.append(Sample(f"model_version_class:airbag_quality_{metric}:ratio{w}", labels, value))
                doubt = math.sqrt(value * (1 - value) / n)
                found.append(Sample(f"model_version_class:airbag_quality_{metric}:stderr{w}", labels, doubt))
        found.append(Sample(f"model_version_class:airbag_quality_f1:ratio{w}", labels, f1))
    for name in {*named, "other"}:
        labels = {**of, "class": name}
        said, was = predicted == name, actual == name
        for kind, rows_of in (("tp", said & was), ("predicted", said), ("actual", was)):
            found.append(Sample(f"model_version_class:airbag_quality_{kind}:increase{w}", labels, rows_of.sum()))
    return found
