"""What the tests of decoding share: models of every kind, and parts in a form that can be compared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from airbag_exporters.config import ExportersConfig
from airbag_exporters.quality.columns import Coded, Predictions
from airbag_exporters.quality.models import Models

NOW = 1_800_000_000.0
FEATURES = {"age": "numeric", "plan": "categorical", "spend": "numeric"}
KINDS: Mapping[str, tuple[str, ...]] = {
    "binary": ("stay", "leave"), "multiclass": ("cat", "dog", "cow"), "regression": (), "ranking": (),
    "translation": (),
}  # fmt: skip


def models(features: Mapping[str, str] | None = None) -> Models:
    """One model of each kind, called as its kind, in a group `main`; `binary` stands in the group `edge` too."""
    every = [_model(kind, classes, FEATURES if features is None else features) for kind, classes in KINDS.items()]
    edge = [each for each in every if each["name"] == "binary"]
    given = {"servings": [_group("main", every), _group("edge", edge)]}
    return Models(ExportersConfig.model_validate_json(json.dumps(given)))


def _model(kind: str, classes: Sequence[str], features: Mapping[str, str]) -> dict[str, Any]:
    quality = {"kind": kind, "features": features, "segments": {"region": ["eu", "us"]}}
    return {"name": kind, "classes": classes, "quality": quality}


def _group(name: str, each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"name": name, "targets": [{"name": "a", "grpc": "127.0.0.1:8500"}], "models": each}


def event(kind: str = "multiclass", **given: Any) -> dict[str, Any]:
    """A good prediction of the model of that kind; None leaves a field out."""
    predicted = {"binary": "leave", "multiclass": "dog", "regression": 2.5, "translation": "hello"}.get(kind)
    score = 0.75 if kind == "ranking" else None
    whole = {"model_name": kind, "model_version": 3, "serving": "main", "predicted": predicted, "score": score, **given}
    return {name: value for name, value in whole.items() if value is not None}


def lines(*events: Mapping[str, Any]) -> bytes:
    """As NDJSON."""
    return b"".join(json.dumps(each).encode() + b"\n" for each in events)


def plain(part: Predictions) -> dict[str, Any]:
    """A part as lists, None where a value is missing."""
    names = ("keys", "at", "predicted", "value", "texts", "score", "scores", "latency", "actual")
    columns: dict[str, Any] = {name: values(getattr(part, name)) for name in names}
    columns["features"] = {name: values(column) for name, column in part.features.items()}
    columns["segments"] = {name: values(column) for name, column in part.segments.items()}
    return {name: column for name, column in columns.items() if column is not None and column != {}}


def values(column: Any) -> Any:
    """A column as a list."""
    if isinstance(column, Coded):
        return [None if code < 0 else column.values[code] for code in column.codes.tolist()]
    if isinstance(column, np.ndarray):
        return [_value(value) for value in column.tolist()]
    return column if column is None else list(column)


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return [_value(each) for each in value]
    return None if value != value else value  # NaN
