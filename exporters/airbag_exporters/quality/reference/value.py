"""A reference: the bins of every feature and how the training data fell into them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from airbag.config import Section, load_json
from airbag.serving.quality import FeatureName

CATEGORY_MAX = 200
"""Characters of a category, which becomes a label of a series."""

FILE = "airbag_reference.json"
"""The name that it has in a version's `assets.extra/`."""


Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class Numeric(Section):
    """B bins by their B-1 inner edges, ascending; the outer bins are open. `le` (B,) are cumulative counts.

    A value equal to an edge belongs to the bin below it. `minimum` and `maximum` are those of the data.
    """

    kind: Literal["numeric"] = "numeric"
    edges: tuple[Finite, ...]
    le: Annotated[tuple[Count, ...], Field(min_length=1)]
    missing: Count = 0
    minimum: Finite
    maximum: Finite

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.le) != len(self.edges) + 1:
            raise ValueError(
                f"has {len(self.edges)} edges, which make {len(self.edges) + 1} bins, and {len(self.le)} counts"
            )
        if any(left >= right for left, right in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError("has edges that do not ascend")
        if any(left > right for left, right in zip(self.le, self.le[1:], strict=False)):
            raise ValueError("has cumulative counts that fall")
        if self.minimum > self.maximum:
            raise ValueError(f"has a minimum, {self.minimum}, above its maximum, {self.maximum}")
        return self

    @property
    def rows(self) -> int:
        """How many values there were, without the missing ones."""
        return self.le[-1]


class Categorical(Section):
    """The most frequent categories and their counts; all others together are `other`."""

    kind: Literal["categorical"] = "categorical"
    counts: Mapping[Annotated[str, Field(min_length=1, max_length=CATEGORY_MAX)], Count]
    other: Count = 0
    missing: Count = 0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if "other" in self.counts:
            raise ValueError("has a category called `other`, which is what all the rest is called")
        return self

    @property
    def rows(self) -> int:
        """How many values there were, without the missing ones."""
        return sum(self.counts.values()) + self.other


Profile = Annotated[Numeric | Categorical, Field(discriminator="kind")]


class Reference(Section):
    """The whole file.

    `score` is the profile of the model's score, or of what a regression predicted; `score_edges` are the finer edges
    (50 bins) that AUC and calibration rest on. `target_mean` is subtracted from regression targets before they are
    summed, so that the sum of squares keeps its digits.
    """

    format: Literal[1] = 1
    rows: Annotated[int, Field(ge=1)]
    features: Mapping[FeatureName, Profile] = {}
    score: Numeric | None = None
    score_edges: tuple[Finite, ...] = ()
    target_mean: Finite = 0.0
    source: str = ""
    built_at: str = ""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if any(left >= right for left, right in zip(self.score_edges, self.score_edges[1:], strict=False)):
            raise ValueError("has score_edges that do not ascend")
        if "score" in self.features:
            raise ValueError("has a feature called `score`, which is what the model's own score is called; rename it")
        return self

    @cached_property
    def ref(self) -> str:
        """Names the bins: 12 hexadecimal digits of the SHA-256 of every edge and category.

        Versions and replicas with the same bins can be compared and added up; the counts do not matter here.
        """
        bins = {name: _bins(profile) for name, profile in sorted(self.features.items())}
        score = list(self.score.edges) if self.score else None
        told = json.dumps([bins, score, list(self.score_edges), self.target_mean], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    @cached_property
    def sha256(self) -> str:
        """Of the whole content, counts included."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def _bins(profile: Numeric | Categorical) -> list[object]:
    edges: list[float] | list[str] = list(profile.edges) if isinstance(profile, Numeric) else sorted(profile.counts)
    return [profile.kind, edges]


def load_reference(path: Path) -> Reference:
    """Read one; ConfigError lists every problem."""
    return load_json(path, Reference)
