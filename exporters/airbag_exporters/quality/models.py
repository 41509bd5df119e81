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
        self._read: dict[Path, Reference | None] = {}

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
        entry = self._entries.get((serving, model))
        if entry is None:
            return Spec(serving, OTHER)
        return Spec(serving, model, entry.classes, entry.quality, self._reference(entry.quality, version))

    def owner(self, serving: str, model: str, version: str) -> Owner:
        """The owner of a prediction of that model; `other` for both where the model is unknown."""
        return Owner(serving, model, version) if (serving, model) in self._entries else Owner(serving, OTHER, OTHER)

    def entries(self) -> Mapping[tuple[str, str], ModelEntry]:
        """Every configured model by group and name."""
        return self._entries

    def _reference(self, quality: ModelQuality, version: str) -> Reference | None:
        if quality.reference is None:
            return None
        own = Path(str(quality.reference).replace("{version}", version))
        return self._load(own) or next(filter(None, map(self._load, _newest_first(quality.reference))), None)

    def _load(self, path: Path) -> Reference | None:
        if path not in self._read:
            self._read[path] = _loaded(path)
        return self._read[path]


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
