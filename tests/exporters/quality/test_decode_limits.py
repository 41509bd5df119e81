"""Small bodies that would become large are refused before they do."""

from __future__ import annotations

import tracemalloc

import pytest

from airbag_exporters.quality.columns import BadBatch
from airbag_exporters.quality.decode import JSON, NDJSON, decode_predictions
from airbag_exporters.quality.models import Models
from tests.exporters.quality.decoding import NOW, event, lines, models

MODELS = models()
NAMES = b'{"model_name": "multiclass", "model_version": 3, "predicted": '


def refusal(body: bytes, content_type: str, known: Models = MODELS) -> str:
    tracemalloc.start()
    try:
        with pytest.raises(BadBatch) as caught:
            decode_predictions(body, content_type, known, NOW)
        assert tracemalloc.get_traced_memory()[1] < 400 << 20
    finally:
        tracemalloc.stop()
    return str(caught.value)


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        (
            b"\n" + NAMES + b'"cat", "scores": [' + b"0," * 1_000_000 + b"1]}",
            NDJSON,
            "line 2, is longer than 1048576 bytes",
        ),
        (b"[" + NAMES + b'"' + b"x" * 1_050_000 + b'"}]', JSON, "item 1, is longer than 1048576 bytes"),
        (b"[" + b"1," * 9_000_000 + b"1]", JSON, "the batch has too many values for one JSON body"),
        (
            NAMES + b"[], " + b'"scores": [' + b"[]," * 9_000_000 + b"[]]}",
            JSON,
            "the batch has too many values for one JSON",
        ),
    ],
    ids=["line", "item", "array", "columns"],
)
def test_a_body_of_many_values_is_refused(body: bytes, content_type: str, text: str) -> None:
    assert refusal(body, content_type).startswith(text)


def test_missing_features_of_many_rows_are_not_laid_out() -> None:
    wide = models({f"f{number}": "numeric" for number in range(1000)})
    text = "the batch has too many rows for so many features and classes; send smaller batches"
    assert refusal(lines(event(features={})) * 17_000, NDJSON, wide) == text
    columns = NAMES + b"[" + b'"a",' * 17_000 + b'"a"], "features": {"x": [' + b"1," * 17_000 + b"1]}}"
    assert refusal(columns, JSON, wide) == text


def test_a_batch_may_name_a_thousand_versions() -> None:
    many = [event(model_version=version) for version in range(1000)]
    assert len(decode_predictions(lines(*many), NDJSON, MODELS, NOW).parts) == 1000
    text = "the batch names more than 1000 versions of models; send smaller batches"
    assert refusal(lines(*many, event(model_version=1000)), NDJSON) == text
    versions = b",".join(b"%d" % version for version in range(1001))
    body = b'{"model_name": "multiclass", "model_version": [' + versions + b'], "predicted": [' + b"1," * 1000 + b"1]}"
    assert refusal(body, JSON) == text
