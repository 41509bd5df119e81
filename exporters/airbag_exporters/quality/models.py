"""What the configuration and the references say about each model, ready for decoding and counting."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from airbag.errors import ConfigError
from airbag.serving.groups import ModelEntry
from airbag.serving.quality import FeatureKind, ModelQuality
from airbag_exporters.config import ExportersConfig
from airbag_exporters.quality.columns import OTHER, BadBatch, Floats, Owner
from airbag_exporters.quality.reference.value import Reference, load_reference

log = logging.getLogger("airbag.quality.models")

_SPECS_MAX = 10_000

DEFAULT_REF = "default"
"""The `ref` of bins that no reference gave."""


@dataclass(frozen=True)
class Spec:
    """One model: its kind, classes and columns, and the newest reference there is for it."""

    serving: str
    model: str
    classes: tuple[str, ...] = ()
    quality: ModelQuality = field(default_factory=ModelQuality)
    reference: Reference | None = None

    @cached_property
    def features(self) -> Mapping[str, FeatureKind]:
        """The columns that are looked at, in the order in which a row without names gives them."""
        known: dict[str, FeatureKind] = dict(self.quality.features)
        for name, profile in (self.reference.features if self.reference else {}).items():
            known.setdefault(name, profile.kind)
        return known

    @property
    def positive(self) -> str:
        """The positive class of a binary model."""
        return self.quality.positive or self.classes[-1]

    @property
    def ref(self) -> str:
        """Names the bins that are counted in."""
        return self.reference.ref if self.reference else DEFAULT_REF

    @cached_property
    def score_edges(self) -> Floats:
        """The inner edges of the fine score bins: of the reference, else equally far apart in log odds, 50 bins."""
        if self.reference and self.reference.score_edges:
            return np.array(self.reference.score_edges)
        return 1 / (1 + np.exp(-np.linspace(-6, 6, 49)))

    @cached_property
    def drift_edges(self) -> Floats:
        """The inner edges of the feature `score`: of the reference, else ten bins of equal width on 0 to 1."""
        if self.reference and self.reference.score:
            return np.array(self.reference.score.edges)
        return np.linspace(0, 1, 11)[1:-1]


class Models:
    """Finds the Spec of a model version. References are read when first asked for, and again by a new Models."""

    def __init__(self, config: ExportersConfig) -> None:
        self._config = config
        self._entries = {(group.name, model.name): model for group in config.servings for model in group.models}
        self._groups = [group.name for group in config.servings]
        self._read: dict[Path, _Read] = {}
        self._specs: dict[Owner, Spec] = {}

    def serving(self, given: str | None, model: str) -> str:
        """The group that a prediction belongs to. BadBatch when it leaves open which one, or names an unknown one.

        A model that no group has belongs to the only group, or to `other`.
        """
        if given is not None:
            if given not in self._groups:
                raise BadBatch(f"field `serving`: no group is called {given!r}; known: {', '.join(self._groups)}")
            return given
        having = [group for group in self._groups if (group, model) in self._entries]
        if len(having) > 1:
            what = f"{', '.join(having)} all have the model {model!r}; say which one is meant"
            raise BadBatch(f"field `serving`: {what}")
        return having[0] if having else self._groups[0] if len(self._groups) == 1 else OTHER

    def find(self, serving: str, model: str, version: str) -> Spec:
        """What is known of a model; an unknown one is called `other`, and has neither classes nor features."""
        owner = Owner(serving, model, version)
        known = self._specs.get(owner)
        if known is None:
            known = self._spec(owner)
            if len(self._specs) < _SPECS_MAX:  # clients name versions
                self._specs[owner] = known
        return known

    def references_changed(self) -> bool:
        """Whether a file came, went or changed since it was asked for; then it is time for new Models."""
        return any(_changed_at(path) != read.at for path, read in list(self._read.items()))

    def _spec(self, owner: Owner) -> Spec:
        entry = self._entries.get((owner.serving, owner.model))
        if entry is None:
            return Spec(owner.serving, OTHER)
        return Spec(
            owner.serving, owner.model, entry.classes, entry.quality, self._reference(entry.quality, owner.version)
        )

    def owner(self, serving: str, model: str, version: str) -> Owner:
        """The owner of a prediction of that model; `other` for both where the model is unknown."""
        return Owner(serving, model, version) if (serving, model) in self._entries else Owner(serving, OTHER, OTHER)

    def entries(self) -> Mapping[tuple[str, str], ModelEntry]:
        """Every configured model by group and name."""
        return self._entries

    def every(self) -> list[tuple[str, str]]:
        """Every model whose labels are counted, `other` of each group among them."""
        return [(group, model) for group in self._groups for model in (*self._models_of(group), OTHER)]

    def _models_of(self, group: str) -> list[str]:
        return [model for serving, model in self._entries if serving == group]

    def _reference(self, quality: ModelQuality, version: str) -> Reference | None:
        if quality.reference is None:
            return None
        own = Path(str(quality.reference).replace("{version}", version))
        return self._load(own) or next(filter(None, map(self._load, _newest_first(quality.reference))), None)

    def _load(self, path: Path) -> Reference | None:
        known = self._read.get(path)
        if known is None:
            known = _Read(_changed_at(path), _loaded(path))
            if len(self._read) < _SPECS_MAX:
                self._read[path] = known
        return known.reference


@dataclass(frozen=True)
class _Read:
    """What stood in a file, and when it had been written; None for both when it was not there."""

    at: int | None
    reference: Reference | None


def _changed_at(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _newest_first(pattern: Path) -> list[Path]:
    """Every file that the path may mean, the highest version first."""
    before, placeholder, after = str(pattern).partition("{version}")
    folder = Path(before)
    if not placeholder or not folder.is_dir():
        return []
    versions = sorted((int(path.name) for path in folder.iterdir() if path.name.isdecimal()), reverse=True)
    return [Path(f"{before}{version}{after}") for version in versions]


def _loaded(path: Path) -> Reference | None:
    try:
        return load_reference(path) if path.exists() else None
    except ConfigError as error:
        log.warning("reference refused, its model is counted without it", extra={"reason": str(error)})
        return None
