"""How a model's answers are judged: the key `quality` of a model in `exporters.yml`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from airbag.config import LocalPath, Section, written_as

Kind = Literal["binary", "multiclass", "regression", "ranking", "translation"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FeatureKind = Literal["numeric", "categorical"]

SEGMENTS_MAX = 4
SEGMENT_VALUES_MAX = 50

# Names stand in label values and paths of messages; any text without quotes, braces or blanks will do.
FeatureName = Annotated[str, written_as(r"[^\s\"'{}\\]{1,100}", "1 to 100 characters without blanks, quotes or braces")]


class ModelQuality(Section):
    """What the answers are and which columns are looked at.

    `positive` is the class whose probability a binary model's score is; the last of the classes unless it is named. A
    binary prediction without `predicted` is positive from `threshold` on.

    `reference` is the training profile that `airbag reference build` writes; `{version}` in its path stands for the
    version, and a version that has none is compared with the newest one that has. `features` adds columns that the
    reference does not know. `segments` are the values that are told apart; the rest is `other`.

    TER, which takes a hundred times longer than BLEU, is computed for `ter_sample` of the sentences.
    """

    kind: Kind = "multiclass"
    positive: str | None = None
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    reference: LocalPath | None = None
    features: Annotated[Mapping[FeatureName, FeatureKind], Field(max_length=1000)] = {}
    segments: Annotated[
        Mapping[FeatureName, Annotated[tuple[str, ...], Field(min_length=1, max_length=SEGMENT_VALUES_MAX)]],
        Field(max_length=SEGMENTS_MAX),
    ] = {}
    versions_max: Annotated[int, Field(ge=2, le=100)] = 20
    confusion_classes_max: Annotated[int, Field(ge=0, le=100)] = 10
    ter_sample: Annotated[float, Field(ge=0, le=1)] = 0.05

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.positive is not None and self.kind != "binary":
            raise ValueError(f"has a `positive` class, which only binary models have, not {self.kind} ones")
        if "score" in self.features:
            raise ValueError("has a feature called `score`, which is what the model's own score is called; rename it")
        return self
