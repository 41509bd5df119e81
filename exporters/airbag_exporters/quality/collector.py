"""The counters as a scrape, every pair of classes at 0 from the first time that a version is seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from airbag_exporters.config import ExportersConfig
from airbag_exporters.quality.book import Book
from airbag_exporters.quality.counts import OTHER, Counts
from airbag_exporters.quality.join import Owner, Result

_MODEL = ("serving", "model_name")
_VERSION = (*_MODEL, "model_version")


class QualityCollector(Collector):
    """Renders a Book."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        config = self._book.config
        counts, pending = self._book.read()
        yield _predictions(config, counts)
        yield _outcomes(config, counts)
        yield _labels(config, counts)
        yield GaugeMetricFamily(
            "airbag_quality_pending_predictions", "Predictions that wait for their label.", value=pending
        )
        yield from _expectations(config)


def _classes(config: ExportersConfig, owner: Owner) -> list[str]:
    group = config.group(owner.serving)
    entry = group.model(owner.model) if group else None
    return [*(entry.classes if entry else ()), OTHER]


def _predictions(config: ExportersConfig, counts: Counts) -> Metric:
    family = CounterMetricFamily(
        "airbag_quality_predictions", "Predictions by predicted class.", labels=(*_VERSION, "predicted")
    )
    foreseen = [(owner, each) for owner in counts.owners for each in _classes(config, owner)]
    for owner, predicted in dict.fromkeys([*foreseen, *counts.predictions]):
        family.add_metric((*owner, predicted), counts.predictions[owner, predicted])
    return family


def _outcomes(config: ExportersConfig, counts: Counts) -> Metric:
    family = CounterMetricFamily(
        "airbag_quality_outcomes",
        "Labelled predictions by predicted and actual class.",
        labels=(*_VERSION, "predicted", "actual", "correct"),
    )
    foreseen = [(owner, *pair) for owner in counts.owners for pair in _pairs(_classes(config, owner))]
    for key in dict.fromkeys([*foreseen, *counts.outcomes]):
        owner, predicted, actual, correct = key
        family.add_metric((*owner, predicted, actual, "true" if correct else "false"), counts.outcomes[key])
    return family


def _pairs(classes: list[str]) -> Iterator[tuple[str, str, bool]]:
    """Every pair, with whether it is correct. Two classes that are both `other` may be the same or not."""
    for predicted in classes:
        for actual in classes:
            yield predicted, actual, predicted == actual
    yield OTHER, OTHER, False


def _labels(config: ExportersConfig, counts: Counts) -> Metric:
    family = CounterMetricFamily(
        "airbag_quality_labels",
        "What became of labels; expired are predictions that got none in time.",
        labels=(*_MODEL, "result"),
    )
    models = [(group.name, name) for group in config.servings for name in [*(m.name for m in group.models), OTHER]]
    foreseen = [(*model, result) for model in models for result in Result]
    for key in dict.fromkeys([*foreseen, *counts.labels]):
        serving, model, result = key
        family.add_metric((serving, model, result.value), counts.labels[key])
    return family


def _expectations(config: ExportersConfig) -> Iterator[Metric]:
    accuracy = GaugeMetricFamily("airbag_quality_accuracy_min", "Accuracy below which a version is bad.", labels=_MODEL)
    labels = GaugeMetricFamily(
        "airbag_quality_labels_min", "Labels in the rules' window below which there is no verdict.", labels=_MODEL
    )
    for group in config.servings:
        for model in group.models:
            if model.expect.accuracy_min is not None:
                accuracy.add_metric((group.name, model.name), model.expect.accuracy_min)
            labels.add_metric((group.name, model.name), model.expect.labels_min)
    yield from (accuracy, labels)
