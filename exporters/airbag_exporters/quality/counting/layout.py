"""Which series a model version has, and what counts into them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from airbag.serving.quality import Kind
from airbag_exporters.config import ExportersConfig
from airbag_exporters.quality.columns import Outcomes, Owner, Predictions
from airbag_exporters.quality.counting import families
from airbag_exporters.quality.counting.block import RESULTS, Block
from airbag_exporters.quality.counting.classes import Classes, Rows
from airbag_exporters.quality.counting.features import Features
from airbag_exporters.quality.counting.histograms import Durations
from airbag_exporters.quality.counting.probabilities import Probabilities
from airbag_exporters.quality.counting.regression import Regression
from airbag_exporters.quality.counting.scores import Scores
from airbag_exporters.quality.counting.segments import Segments
from airbag_exporters.quality.counting.slices import Part, Slices, series_rows
from airbag_exporters.quality.counting.translation import Translation
from airbag_exporters.quality.models import Models, Spec


class Counter(Protocol):
    """Some families of one model: the series that they have, and how a batch is counted into a block of these."""

    def parts(self) -> Iterator[Part]:
        """The series, all of which exist from the start."""

    def predictions(self, block: Block, batch: Predictions) -> None:
        """Count what was predicted."""

    def outcomes(self, block: Block, batch: Outcomes) -> None:
        """Count what got its label."""


KINDS: Mapping[Kind, tuple[Callable[[Spec], Counter], ...]] = {
    "binary": (Classes, Probabilities, Scores, Features, Segments, Durations),
    "multiclass": (Classes, Probabilities, Scores, Features, Segments, Durations),
    "regression": (Rows, Regression, Features, Segments, Durations),
    "ranking": (Rows, Scores, Features, Segments, Durations),
    "translation": (Rows, Translation, Features, Segments, Durations),
}


@dataclass(frozen=True)
class Layout(Slices):
    """The series of one model version. One that was read from elsewhere has no `spec`, and cannot be counted into."""

    spec: Spec | None = field(default=None, compare=False, repr=False)
    counters: tuple[Counter, ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def of(cls, spec: Spec, owner: Owner) -> Layout:
        """As the configuration and the reference have it. Costs milliseconds, so keep it."""
        counters = tuple(each(spec) for each in KINDS[spec.quality.kind])
        parts = tuple(part for counter in counters for part in counter.parts())
        return cls(tuple(owner), parts, spec, counters)


@dataclass(frozen=True)
class ModelLayout(Slices):
    """The series of a model whose version is not known when they are counted."""

    @classmethod
    def of(cls, serving: str, model: str) -> ModelLayout:
        """What became of its labels."""
        return cls((serving, model), (Part(families.LABELS, series_rows(RESULTS)),))


@dataclass(frozen=True)
class ModelSeries:
    """How many series a model has: of each version on `/metrics`, and of its reference on `/reference`."""

    serving: str
    model: str
    per_version: int
    versions_max: int

    @property
    def most(self) -> int:
        """With as many versions as there may be at once."""
        return self.per_version * self.versions_max


def series_per_version(spec: Spec) -> int:
    """How many series one version of that model has on `/metrics`."""
    return Layout.of(spec, Owner(spec.serving, spec.model, "")).series


def series(config: ExportersConfig) -> tuple[ModelSeries, ...]:
    """The same for every configured model, with the references that there are now."""
    models = Models(config)
    return tuple(
        ModelSeries(serving, model, series_per_version(models.find(serving, model, "")), entry.quality.versions_max)
        for (serving, model), entry in models.entries().items()
    )
