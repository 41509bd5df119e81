"""The same rows give the same columns in whichever format they come."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from airbag_exporters.quality.columns import BadBatch
from airbag_exporters.quality.decode import ARROW, JSON, NDJSON, decode_labels, decode_predictions
from tests.exporters.quality.arrow_streams import written
from tests.exporters.quality.decoding import NOW, event, lines, models, plain, values

MODELS = models()
TYPES = {
    "id": pa.string(), "model_name": pa.string(), "model_version": pa.int64(), "serving": pa.string(),
    "score": pa.float64(), "scores": pa.list_(pa.float64()), "latency_seconds": pa.float64(),
    "timestamp": pa.float64(), "actual": pa.string(),
    "features": pa.struct({"age": pa.float64(), "plan": pa.string(), "spend": pa.float64(), "new": pa.float64()}),
    "segments": pa.struct({"region": pa.string(), "shop": pa.string()}),
}  # fmt: skip

numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
features = st.fixed_dictionaries({}, optional={"age": numbers, "plan": texts, "spend": numbers, "new": numbers})
segments = st.fixed_dictionaries({}, optional={"region": st.sampled_from(["eu", "asia"]), "shop": texts})
common = {
    "id": st.text(st.characters(codec="utf-8"), min_size=1, max_size=40), "features": features, "segments": segments,
    "model_version": st.sampled_from([3, 3, 3, 12]), "latency_seconds": st.floats(0, 9),
    "timestamp": st.floats(0, NOW),
}  # fmt: skip


def rows(kind: str, needed: dict[str, Any], **more: Any) -> st.SearchStrategy[list[dict[str, Any]]]:
    row = st.fixed_dictionaries(needed, optional={**common, **more})
    return st.lists(row.map(lambda given: event(kind, **given)), min_size=1, max_size=30)


classes = st.sampled_from(["cat", "dog", "cow", "ox", ""])
scores = st.sampled_from([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5]])
unit = st.floats(0, 1)
batches = st.one_of(
    rows("multiclass", {"predicted": classes}, scores=scores, score=unit, actual=classes),
    rows("binary", {"score": unit}, actual=st.sampled_from(["stay", "leave"])),
    rows("regression", {"predicted": numbers}),
    rows("ranking", {"score": numbers}, actual=st.sampled_from(["0", "1"])),
    rows("translation", {"predicted": texts}),
    rows("unheard-of", {"predicted": classes}),
    st.tuples(rows("multiclass", {"predicted": classes}), rows("binary", {"predicted": classes})).map(
        lambda both: [row for pair in zip(*both, strict=False) for row in pair]
    ),
)  # fmt: skip


def columnar(events: list[dict[str, Any]], names: set[str]) -> dict[str, Any]:
    """Events as columns. `names` are groups of which every row that leaves them out has an empty one."""
    columns: dict[str, Any] = {}
    for name in dict.fromkeys(name for each in events for name in each):
        column = [each.get(name) for each in events]
        if name in names:
            keys = dict.fromkeys(key for each in column if each for key in each)
            columns[name] = {key: [(each or {}).get(key) for each in column] for key in keys}
        else:
            columns[name] = column
    return columns


def arrow(events: list[dict[str, Any]], cut: int) -> bytes:
    names = dict.fromkeys(name for each in events for name in each)
    predicted = pa.float64() if events[0]["model_name"] == "regression" else pa.string()
    arrays = {name: pa.array([each.get(name) for each in events], TYPES.get(name, predicted)) for name in names}
    batch = pa.record_batch(arrays)
    return written([batch.slice(0, cut), batch.slice(cut)])


def told(body: bytes, content_type: str) -> Any:
    decoded = decode_predictions(body, content_type, MODELS, NOW)
    parts = {(part.owner, *sorted(plain(part))): plain(part) for part in decoded.parts}
    assert len(parts) == len(decoded.parts)
    return parts, decoded.unknown_features, decoded.rows


@settings(max_examples=150)
@given(batches, st.integers(0, 30))
def test_lines_arrays_columns_and_arrow_are_one(events: list[dict[str, Any]], cut: int) -> None:
    if not all("features" in each for each in events):  # columns cannot leave features out of some rows
        for each in events:
            each.pop("features", None)
    by_lines = told(lines(*events), NDJSON)
    assert told(json.dumps(events).encode(), JSON) == by_lines
    assert told(json.dumps(columnar(events, {"features", "segments"})).encode(), JSON) == by_lines
    assert told(arrow(events, min(cut, len(events))), ARROW) == by_lines


@settings(max_examples=50)
@given(rows("multiclass", {"predicted": classes}), st.integers(0, 30))
def test_arrow_may_leave_features_out_of_some_rows(events: list[dict[str, Any]], cut: int) -> None:
    assert told(arrow(events, min(cut, len(events))), ARROW) == told(lines(*events), NDJSON)


label = st.fixed_dictionaries(
    {"id": st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)}, optional={"timestamp": st.floats(0, NOW)}
)


@given(
    st.lists(label, min_size=1, max_size=20),
    st.sampled_from([(["cat", "dog", "é"], pa.string()), ([1.0, 2.5, 0.0], pa.float64()), ([1, 0, 7], pa.int8())]),
    st.integers(0, 30),
)
def test_labels_are_the_same_in_every_format(given_labels: list[dict[str, Any]], kind: Any, cut: int) -> None:
    actual, type_ = kind
    events = [{**each, "actual": actual[place % 3]} for place, each in enumerate(given_labels)]
    arrays = {
        "id": pa.array([each["id"] for each in events]), "actual": pa.array([each["actual"] for each in events], type_),
        "timestamp": pa.array([each.get("timestamp") for each in events], pa.float64()),
    }  # fmt: skip
    batch = pa.record_batch(arrays)
    bodies = [
        (lines(*events), NDJSON),
        (json.dumps(events).encode(), JSON),
        (json.dumps(columnar(events, set())).encode(), JSON),
        (written([batch.slice(0, cut), batch.slice(cut)]), ARROW),
    ]
    decoded = [decode_labels(body, content_type, NOW) for body, content_type in bodies]
    told = [(each.keys.tolist(), values(each.actual), each.at.tolist()) for each in decoded]
    assert told[0] == told[1] == told[2] == told[3]


wild = st.fixed_dictionaries({}, optional={
    "id": st.one_of(st.just("a"), st.just(""), st.integers(0, 9)), "model_version": st.sampled_from([3, "03", -1, "x"]),
    "predicted": st.one_of(classes, numbers), "score": st.floats(-1, 2), "scores": st.lists(unit, max_size=4),
    "serving": st.sampled_from(["main", "moon"]), "features": st.one_of(features, st.lists(numbers, max_size=4)),
    "timestamp": st.sampled_from([1.0, -1.0, NOW * 1000]), "actual": st.one_of(classes, numbers),
})  # fmt: skip
kinds = st.sampled_from(["binary", "multiclass", "regression", "ranking"])


@settings(max_examples=100)
@given(st.lists(st.builds(lambda kind, row: event(kind, **row), kinds, wild), min_size=1, max_size=5))
def test_what_lines_refuse_an_array_refuses_with_the_same_words(events: list[dict[str, Any]]) -> None:
    def refusal(body: bytes, content_type: str) -> str:
        try:
            decode_predictions(body, content_type, MODELS, NOW)
        except BadBatch as error:
            return str(error)
        return ""

    by_lines = refusal(lines(*events), NDJSON)
    assert refusal(json.dumps(events).encode(), JSON) == by_lines.replace("line ", "item ")


def test_half_a_chunk_of_another_shape_changes_nothing() -> None:
    events = [
        event(id=str(row), features={"age": row, "plan": "a"} if row % 3 else {"spend": row, "new": 1})
        for row in range(3000)
    ]
    events[1500]["features"] = [1, None, 3]
    decoded = decode_predictions(lines(*events), NDJSON, MODELS, NOW)
    (part,) = decoded.parts
    assert plain(part)["features"]["age"] == [
        1.0 if row == 1500 else float(row) if row % 3 else None for row in range(3000)
    ]  # fmt: skip
    assert decoded.unknown_features == {("main", "multiclass"): 999}
