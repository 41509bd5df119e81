"""Counters as a user sees them: samples of the page, found by their labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from airbag.serving.quality import ModelQuality
from airbag_exporters.quality.columns import Coded, Outcomes, Owner, Predictions
from airbag_exporters.quality.counting import Block, Layout, count_outcomes, count_predictions
from airbag_exporters.quality.models import Spec
from airbag_exporters.quality.reference.value import Categorical, Numeric, Reference
from airbag_exporters.quality.render import Snapshot, metrics_page

OWNER = Owner("edge", "churn", "3")


def spec_of(
    kind: str = "binary", classes: Sequence[str] = (), reference: Reference | None = None, **quality: Any
) -> Spec:
    """A model; a binary one has the classes `no` and `yes`."""
    classes = classes or (("no", "yes") if kind == "binary" else ())
    return Spec("edge", "churn", tuple(classes), ModelQuality(kind=kind, **quality), reference)  # type: ignore[arg-type]


def numeric(values: Iterable[float], edges: Iterable[float], missing: int = 0) -> Numeric:
    """The profile of some values."""
    data, edges = np.array(list(values)), tuple(edges)
    le = tuple(int((data <= edge).sum()) for edge in (*edges, math.inf))
    return Numeric(edges=edges, le=le, missing=missing, minimum=float(data.min()), maximum=float(data.max()))


def reference_of(
    features: Mapping[str, Numeric | Categorical] | None = None,
    score: Numeric | None = None,
    score_edges: Sequence[float] = (),
    target_mean: float = 0.0,
) -> Reference:
    """A reference of 100 rows."""
    return Reference(
        rows=100, features=features or {}, score=score, score_edges=tuple(score_edges), target_mean=target_mean
    )


def predictions_of(rows: int, **columns: Any) -> Predictions:
    """A batch of OWNER."""
    return Predictions(OWNER, np.zeros(rows), **columns)


def outcomes_of(rows: int, segments: Mapping[str, Any] | None = None, delay: Any = None, **columns: Any) -> Outcomes:
    """Labelled predictions of OWNER, which waited for a second."""
    return Outcomes(OWNER, np.ones(rows) if delay is None else np.array(delay, float), segments or {}, **columns)


def classified(spec: Spec, predicted: Sequence[str], actual: Sequence[str], **columns: Any) -> Outcomes:
    """Outcomes of a classifier by the names of its classes."""
    numbers = {name: number for number, name in enumerate(spec.classes)}

    def numbered(names: Sequence[str]) -> np.ndarray[Any, Any]:
        return np.array([numbers.get(name, len(numbers)) for name in names], np.intp)

    correct = np.array([left == right for left, right in zip(predicted, actual, strict=True)], np.bool_)
    return outcomes_of(
        len(predicted), predicted=numbered(predicted), actual=numbered(actual), correct=correct, **columns
    )


def counted(spec: Spec, *batches: Predictions | Outcomes) -> Seen:
    """The page after these batches."""
    return Seen(block_of(spec, *batches))


def block_of(spec: Spec, *batches: Predictions | Outcomes) -> Block:
    """The counters after these batches."""
    block = Block(Layout.of(spec, OWNER))
    for batch in batches:
        if isinstance(batch, Predictions):
            count_predictions(spec, block, batch)
        else:
            count_outcomes(spec, block, batch)
    return block


def coded(*texts: str | None) -> Coded:
    """A column of texts."""
    return Coded.of(texts)


class Seen:
    """The samples of a page. Names go without `airbag_quality_`, and counters without `_total`."""

    def __init__(self, block: Block) -> None:
        self.text = b"".join(metrics_page(Snapshot({OWNER: block}))).decode()
        self._samples = [
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
        ]

    def all(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """Every sample of that name that has these labels."""
        names = (f"airbag_quality_{name}", f"airbag_quality_{name}_total")
        return [
            (given, value) for each, given, value in self._samples if each in names and labels.items() <= given.items()
        ]

    def value(self, name: str, **labels: str) -> float:
        """The only sample of that name and these labels."""
        ((_, value),) = self.all(name, **labels)
        return value

    def by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """Values by one label."""
        found = {given[label]: value for given, value in self.all(name, **labels)}
        assert len(found) == len(self.all(name, **labels)), f"{label} alone does not tell the series of {name} apart"
        return found

    def bins(self, name: str, **labels: str) -> list[float]:
        """The cumulative values of a family with bins, in the order that `prev` tells."""
        follows = {given["prev"]: (given["bin"], value) for given, value in self.all(name, **labels)}
        values, at = [], "start"
        while at in follows:
            at, value = follows[at]
            values.append(value)
        assert len(values) == len(follows) - 1, "a bin that no other one leads to"
        assert follows[""] == ("start", 0)
        return values
