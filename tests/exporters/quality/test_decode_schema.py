"""The published schemas say what decoding takes."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest

from airbag_exporters.quality.decode import JSON, decode_labels, decode_predictions
from airbag_exporters.quality.decode.schema import component_schemas
from tests.exporters.quality.decoding import KINDS, NOW, event, models

MODELS = models()
SCHEMAS = component_schemas()


def is_valid(name: str, value: Any) -> bool:
    return bool(jsonschema_rs.Draft202012Validator(SCHEMAS[name]).is_valid(value))


def test_there_is_one_for_everything_that_is_taken_and_each_says_what_it_is() -> None:
    assert set(SCHEMAS) == {"Prediction", "PredictionColumns", "Label", "LabelColumns", "PipelineRun"}
    assert all(schema["title"] == name and schema["description"] for name, schema in SCHEMAS.items())
    assert "\n    " not in SCHEMAS["Prediction"]["description"]


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_that_are_taken_fit_the_schema(kind: str) -> None:
    whole = event(kind, id="a", features={"age": 1}, segments={"region": "eu"}, timestamp=1.5, latency_seconds=0)
    columns = {name: [value] for name, value in whole.items() if name not in ("features", "segments")}
    assert decode_predictions(json.dumps([whole]).encode(), JSON, MODELS, NOW).rows == 1
    assert decode_predictions(json.dumps(columns).encode(), JSON, MODELS, NOW).rows == 1
    assert is_valid("Prediction", whole)
    assert is_valid("PredictionColumns", columns)
    assert not is_valid("Prediction", {**whole, "colour": 1})
    assert not is_valid("Prediction", {**whole, "id": ""})


def test_labels_that_are_taken_fit_the_schema() -> None:
    label = {"id": "a", "actual": 1, "timestamp": 2}
    assert len(decode_labels(json.dumps([label]).encode(), JSON, NOW)) == 1
    assert is_valid("Label", label)
    assert is_valid("LabelColumns", {name: [value] for name, value in label.items()})
    assert not is_valid("Label", {"id": "a"})
