"""Which series a model version has, and what counts into them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
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
from airbag_exporters.quality.counting.slices import Part, Shape, Slices, series_rows
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
        """As the configuration and the reference have it; versions that look alike share all but their names."""
        shape, counters = _counted(_Looks(spec))
        return cls(tuple(owner), shape, spec, counters)

    def is_for(self, spec: Spec) -> bool:
        """Whether that is the same configuration, be it with another reference."""
        return self.spec is not None and (self.spec.classes, self.spec.quality) == (spec.classes, spec.quality)


class _Looks:
    """A spec without the names: equal for those that are counted alike."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._equal = (spec.classes, spec.quality, spec.reference)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Looks) and self._equal == other._equal

    def __hash__(self) -> int:
        return hash((self.spec.classes, self.spec.quality.kind, self.spec.ref))


@lru_cache(maxsize=256)
def _counted(looks: _Looks) -> tuple[Shape, tuple[Counter, ...]]:
    counters = tuple(each(looks.spec) for each in KINDS[looks.spec.quality.kind])
    return Shape(tuple(part for counter in counters for part in counter.parts())), counters


@dataclass(frozen=True)
class ModelLayout(Slices):
    """The series of a model whose version is not known when they are counted."""

    @classmethod
    def of(cls, serving: str, model: str) -> ModelLayout:
        """What became of its labels."""
        return cls((serving, model), _LABELS)


_LABELS = Shape((Part(families.LABELS, series_rows(RESULTS)),))


@dataclass(frozen=True)
class ModelSeries:
    """How many series a model has on `/metrics`."""

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
