"""The events as they are sent, checked field by field by msgspec. These structs are the published format."""

from __future__ import annotations

import atexit
import gc
import re
from typing import Annotated

import msgspec

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Version = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] | Annotated[str, msgspec.Meta(pattern="^[0-9]{1,19}$")]
Value = float | str | None
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Class = str | int | float
Named = dict[str, Value]


# Structs of which one derives from the other may crash the interpreter when it collects them at its very end (msgspec
# 0.19 to 0.22); what is frozen by then is not collected.
atexit.register(gc.freeze)


class Prediction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What a model answered.

    Which of `predicted`, `score` and `scores` are needed depends on the kind of the model: `predicted` for multiclass,
    regression (a number) and translation (the text), `score` for ranking, one of the three for binary. `score` is the
    probability of the positive or of the predicted class, `scores` are those of all classes in their order. `features`
    are values by name, or in the order of the configuration; what is not known there is left out and counted. Without
    `id` a prediction is counted, and neither joined with a label nor protected from a second delivery. `serving` may
    be left out where only one group has that model. `timestamp` is in seconds since the epoch.
    """

    model_name: Name
    model_version: Version
    id: Id | None = None
    serving: str | None = None
    predicted: Class | None = None
    score: float | None = None
    scores: list[float] | None = None
    features: Named | list[Value] | None = None
    segments: dict[str, str | int | None] | None = None
    latency_seconds: Seconds | None = None
    timestamp: Seconds | None = None
    actual: Class | None = None


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What was true, for the prediction of the same `id`. `timestamp` (seconds since the epoch) is when."""

    id: Id
    actual: Class
    timestamp: Seconds | None = None


class PredictionColumns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Predictions as columns: lists of equal length, an entry a row; see Prediction.

    What is the same for all rows of `model_name`, `model_version` and `serving` may be given once. `features` and
    `segments` are lists by name.
    """

    model_name: Name | list[Name]
    model_version: Version | list[Version]
    id: list[Id | None] | None = None
    serving: str | list[str | None] | None = None
    predicted: list[Class | None] | None = None
    score: list[float | None] | None = None
    scores: list[list[float] | None] | None = None
    features: dict[str, list[Value]] | None = None
    segments: dict[str, list[str | int | None]] | None = None
    latency_seconds: list[Seconds | None] | None = None
    timestamp: list[Seconds | None] | None = None
    actual: list[Class | None] | None = None


class LabelColumns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Labels as columns: lists of equal length, an entry a row; see Label."""

    id: list[Id]
    actual: list[Class]
    timestamp: list[Seconds | None] | None = None


FIELDS: tuple[str, ...] = Prediction.__struct_fields__
LABEL_FIELDS: tuple[str, ...] = Label.__struct_fields__
BAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not what was asked for."""


def told(error: Exception) -> tuple[str, str]:
    """What msgspec says, as field and text; the field is empty when the whole event is meant."""
    what, _, path = str(error).partition(" - at `")
    found = re.fullmatch(r"\$(?:\[\d+\])?\.(.+)`", path, re.DOTALL)
    field = found[1].replace("[...]", "") if found else ""
    return field, what


def told_event(error: Exception, event: bytes) -> tuple[str, str]:
    """The same for one event, with the name of the feature or segment, which msgspec leaves open."""
    field, what = told(error)
    return (_named(field, event) or field if field in ("features", "segments") else field), what


def _named(field: str, event: bytes) -> str | None:
    kind = Value if field == "features" else str | int | None
    try:
        given = msgspec.json.decode(event, type=dict[str, msgspec.Raw])[field]
        values = msgspec.json.decode(given, type=dict[str, msgspec.Raw])
    except BAD:  # further on the event may be no JSON at all
        return None
    for name, value in values.items():
        try:
            msgspec.json.decode(value, type=kind)
        except BAD:
            return f"{field}.{name}"
    return None
