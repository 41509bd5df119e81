"""Arrow IPC streams: every type that a column may have, and everything that may be wrong with one."""

from __future__ import annotations

import datetime
import gc
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
import pytest

from airbag_exporters.quality.columns import BadBatch, Owner
from airbag_exporters.quality.decode import ARROW, Decoded, decode_labels, decode_predictions
from airbag_exporters.quality.hashing import hash_texts
from tests.exporters.quality.arrow_streams import stream, written
from tests.exporters.quality.decoding import NOW, models, plain

MODELS = models()
CAT = {"model_name": "multiclass", "model_version": "3"}
NUMBER = {"model_name": "regression", "model_version": "3"}


def decoded(columns: dict[str, Any], metadata: dict[str, str] | None = CAT, **options: Any) -> Decoded:
    return decode_predictions(stream(columns, metadata, **options), ARROW, MODELS, NOW)


def only(columns: dict[str, Any], metadata: dict[str, str] | None = CAT, **options: Any) -> dict[str, Any]:
    (part,) = decoded(columns, metadata, **options).parts
    return plain(part)


def refused(columns: dict[str, Any], metadata: dict[str, str] | None = CAT) -> str:
    with pytest.raises(BadBatch) as caught:
        decoded(columns, metadata)
    return str(caught.value)


def of_kind(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values).dictionary_encode().cast(kind)
    if kind == pa.float16():
        values = [value if value is None else np.float16(value) for value in values]
    return pa.array(values, kind)


@pytest.mark.parametrize("kind", [
    pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float16(),
    pa.float32(), pa.float64(), pa.dictionary(pa.int8(), pa.float64()),
])  # fmt: skip
def test_numbers_may_be_of_any_width(kind: pa.DataType) -> None:
    column = of_kind([1.0, None, 3.0], kind)
    given = only({"predicted": ["cat"] * 3, "features.age": column, "latency_seconds": column})
    assert given["features"]["age"] == given["latency"] == [1.0, None, 3.0]
    assert only({"predicted": of_kind([1.0, 3.0], kind)}, NUMBER)["value"] == [1.0, 3.0]


@pytest.mark.parametrize("kind", [
    pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.uint64(), pa.large_string()),
])  # fmt: skip
def test_texts_may_be_of_any_type(kind: pa.DataType) -> None:
    given = ["cat", None, "d\N{DOG}g, which is longer than a view holds", "", "cat"]
    column = of_kind(given, kind)
    told = only({"predicted": ["cat"] * 5, "features.plan": column, "segments.region": column})
    assert told["features"]["plan"] == told["segments"]["region"] == given
    texts = [given[0], given[2], given[4]]
    known = of_kind(texts, kind)
    told = only({"predicted": known, "id": known, "actual": known})
    assert told["predicted"] == told["actual"] == ["cat", given[2], "cat"]
    assert told["keys"] == hash_texts(["cat", str(given[2]), "cat"]).tolist()


def test_truth_values_are_0_and_1() -> None:
    column = pa.array([True, None, False])
    assert only({"predicted": ["cat"] * 3, "features.age": column})["features"]["age"] == [1.0, None, 0.0]
    assert only({"predicted": pa.array([True, False])})["predicted"] == ["1", "0"]


def test_a_column_of_nothing_is_as_good_as_none() -> None:
    nothing = pa.nulls(2)
    columns = dict.fromkeys(("id", "score", "scores", "timestamp", "actual", "features", "segments"), nothing)
    assert only({"predicted": ["cat", "dog"], **columns}) == only({"predicted": ["cat", "dog"]})
    assert only({"predicted": ["cat", "dog"], "features.age": nothing})["features"]["age"] == [None, None]


def test_whole_numbers_that_no_float_holds_are_classes_to_the_last_digit() -> None:
    large = [2**53 + 1, 2**53 + 3, None]
    told = only({"predicted": pa.array(large[:2], pa.int64()), "features.plan": pa.array(large[1:], pa.uint64())})
    assert told["predicted"] == [str(2**53 + 1), str(2**53 + 3)]
    assert told["features"]["plan"] == [str(2**53 + 3), None]


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_times_may_be_of_the_types_for_times(unit: str, factor: int) -> None:
    at = pa.array([1_700_000_000 * factor], pa.timestamp(unit, "UTC"))
    told = only({"predicted": ["cat"], "timestamp": at, "latency_seconds": pa.array([2 * factor], pa.duration(unit))})
    assert (told["at"], told["latency"]) == ([1.7e9], [2.0])


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.float64(), 3)])
def test_scores_may_be_lists_of_any_type(kind: pa.DataType) -> None:
    scores = pa.array([[0.5, 0.25, 0.25], None, [0, 1, 0]], kind)
    assert only({"predicted": ["cat", "dog", "dog"], "scores": scores})["score"] == [0.5, None, 1.0]


@pytest.mark.parametrize("cut", [0, 1, 5000, 9999, 10_000])
def test_batches_of_one_stream_are_one(cut: int) -> None:
    """More rows than the sample that classes are first looked for in, with a class that it does not have."""
    rows = 10_000
    classes = ["ox" if row == 9000 else ("cat", "dog")[row % 2] for row in range(rows)]
    column = pa.array(classes)
    columns = {
        "predicted": column, "id": pa.array([f"{row}" for row in range(rows)]),
        "features.plan": column.dictionary_encode(),
        "features.age": pa.array([None if row % 3 else row for row in range(rows)], pa.int32()),
        "scores": pa.array([[0.5, 0.25, 0.25] if row % 2 else None for row in range(rows)]),
    }  # fmt: skip
    batch = pa.record_batch(columns).replace_schema_metadata(CAT)
    body = written([batch.slice(0, cut), batch.slice(cut)])
    batches = decode_predictions(body, ARROW, MODELS, NOW)
    del body
    gc.collect()
    (part,) = batches.parts
    told = plain(part)
    assert told["predicted"] == told["features"]["plan"] == classes
    assert told["features"]["age"] == [None if row % 3 else float(row) for row in range(rows)]
    assert told["keys"] == hash_texts([f"{row}" for row in range(rows)]).tolist()
    assert told["scores"] == [[0.5, 0.25, 0.25] if row % 2 else [None] * 3 for row in range(rows)]


def test_numbers_without_missing_ones_are_not_copied() -> None:
    body = stream({"predicted": ["cat"] * 1000, "features.age": np.arange(1000.0)}, CAT)
    (part,) = decode_predictions(body, ARROW, MODELS, NOW).parts
    assert np.shares_memory(part.features["age"], np.frombuffer(body, np.uint8))  # type: ignore[arg-type]


def test_names_may_stand_in_columns_or_once_in_the_metadata() -> None:
    columns = {
        "model_name": ["multiclass", "regression", "multiclass"],
        "model_version": [3, 4, 3],
        "predicted": [1, 2, 3],
    }
    parts = decoded(columns, {"serving": "main"}).parts
    assert [(part.owner, len(part)) for part in parts] == [
        (Owner("main", "multiclass", "3"), 2), (Owner("main", "regression", "4"), 1),
    ]  # fmt: skip
    texts = decoded({**columns, "model_version": ["03", "4", "3"]}, {"serving": "main"}).parts
    assert [part.owner for part in texts] == [part.owner for part in parts]


def test_unknown_features_of_any_type_are_left_out_and_counted() -> None:
    odd = pa.array([datetime.date(2026, 1, 1), None])
    nested = pa.array([[{"a": [b"x"]}], None])
    columns = {"predicted": ["cat", "dog"], "features.day": odd, "features.deep": nested, "segments.day": odd}
    assert decoded(columns).unknown_features == {("main", "multiclass"): 3}
    struct = pa.array([{"age": 1.0, "day": 2}, None], pa.struct({"age": pa.float64(), "day": pa.date32()}))
    batch = decoded({"predicted": ["cat", "dog"], "features": struct})
    assert batch.unknown_features == {("main", "multiclass"): 1}
    assert [len(part.features) for part in batch.parts] == [0, 3]


def test_streams_of_before_2019_are_read_too() -> None:
    columns = {"predicted": ["cat"], "features.age": [1.0]}
    legacy = only(columns, use_legacy_format=True, metadata_version=ipc.MetadataVersion.V4)
    assert legacy == only(columns)


def test_labels() -> None:
    given = decode_labels(stream({"id": ["a", "b"], "actual": ["cat", "dog"]}), ARROW, NOW)
    assert given.keys.tolist() == hash_texts("ab").tolist()
    assert given.at.tolist() == [NOW, NOW]
    assert (
        len(decode_labels(stream({"id": pa.array([], pa.string()), "actual": pa.array([], pa.string())}), ARROW, NOW))
        == 0
    )


def test_a_stream_without_rows_is_fine() -> None:
    schema = pa.schema({"predicted": pa.string()})
    assert (
        decode_predictions(written([pa.record_batch({"predicted": pa.array([], pa.string())})]), ARROW, MODELS, NOW)
        == Decoded()
    )
    sink = pa.BufferOutputStream()
    ipc.new_stream(sink, schema).close()
    assert decode_predictions(sink.getvalue().to_pybytes(), ARROW, MODELS, NOW) == Decoded()


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"colour": [1]}, "field `colour`: is no column that is taken here; taken: model_name, model_version, id,"),
        (
            {"predicted": [1.5], "features.age": ["x"]},
            "row 1, field `features.age`: Expected a number, as this is a numeric",
        ),
        ({"predicted": ["cat"], "score": ["x"]}, "field `score`: Expected numbers or texts, got Arrow's format 'u'"),
        (
            {"predicted": ["cat"], "score": pa.array(["x"]).dictionary_encode()},
            "field `score`: Expected numbers, got texts",
        ),
        ({"predicted": [b"cat"]}, "field `predicted`: Expected numbers or texts, got Arrow's format 'z'"),
        ({"predicted": ["cat"], "id": [1]}, "field `id`: Expected texts, got Arrow's format 'l'"),
        ({"predicted": ["cat", "cat"], "id": ["a", ""]}, "row 2, field `id`: Expected `str` of length >= 1"),
        (
            {"predicted": ["cat", "cat"], "id": ["a" * 256, "\N{DOG}" * 257]},
            "row 2, field `id`: Expected `str` of length <= 256",
        ),
        ({"predicted": ["cat"], "scores": [0.5]}, "field `scores`: Expected lists of numbers, got Arrow's format 'g'"),
        (
            {"predicted": ["cat"], "scores": [[0.5]]},
            "row 1, field `scores`: Expected 3 values, one for each class, got 1",
        ),
        (
            {"predicted": ["cat"], "features": ["x"]},
            "field `features`: Expected a struct, or a column for each, called `feat",
        ),
        (
            {"predicted": ["cat"], "features": [{"age": 1}], "features.age": [1]},
            "field `features`: there are columns called",
        ),
        (
            {"predicted": ["cat"], "model_version": [-1]},
            "row 1, field `model_version`: Expected a whole number from 0 to",
        ),
        (
            {"predicted": ["cat"], "model_version": pa.array([None], pa.int8())},
            "row 1, field `model_version`: is needed, as a",
        ),
        (
            {"predicted": ["cat"], "timestamp": [NOW * 1000]},
            "row 1, field `timestamp`: is more than a day in the future",
        ),
        (
            {"predicted": ["cat"], "latency_seconds": [float("inf")]},
            "row 1, field `latency_seconds`: Expected a finite",
        ),
    ],
)
def test_a_refusal_names_row_and_column(columns: dict[str, Any], text: str) -> None:
    assert refused(columns).startswith(text)


def test_names_that_are_nowhere_are_asked_for() -> None:
    assert refused({"predicted": ["cat"]}, {"model_name": "multiclass"}) == (
        "row 1, field `model_version`: is needed, as a column or in the metadata of the schema"
    )


def test_labels_need_an_id_and_what_was_true() -> None:
    for columns, text in (
        ({"id": ["a"]}, "row 1, field `actual`: Expected a finite number or a text"),
        ({"actual": ["a"]}, "row 1, field `id`: is needed"),
        ({"id": ["a", None], "actual": [1, 2]}, "row 2, field `id`: is needed"),
        (
            {"id": ["a", "b"], "actual": [1.0, float("nan")]},
            "row 2, field `actual`: Expected a finite number or a text",
        ),
    ):
        with pytest.raises(BadBatch) as caught:
            decode_labels(stream(columns), ARROW, NOW)
        assert str(caught.value) == text


GOOD = stream({"predicted": ["cat", "dog"], "id": ["a", "b"]}, CAT)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "the Arrow stream does not begin with a schema"),
        (b"{}", "the Arrow stream is cut off or damaged"),
        (b"hello, this is no stream", "the Arrow stream is cut off or damaged"),
        (GOOD + b"x", "there are bytes behind the end of the Arrow stream"),
        (GOOD + GOOD, "there are bytes behind the end of the Arrow stream"),
        (GOOD[:-8] + GOOD, "the Arrow stream holds something else than batches and dictionaries"),
        (GOOD[:-20], "the Arrow stream is cut off or damaged"),
        (GOOD[:100], "the Arrow stream is cut off or damaged"),
        (
            stream({"predicted": ["cat"] * 99}, CAT, compression="zstd"),
            "the Arrow stream has compressed buffers; send them",
        ),
        (
            stream({"predicted": ["ca\N{DOG}"]}, CAT).replace(b"\xf0\x9f", b"ab"),
            "field `predicted`: 'utf-8' codec can't",
        ),
    ],
)
def test_what_is_no_stream_is_refused(body: bytes, text: str) -> None:
    with pytest.raises(BadBatch) as caught:
        decode_predictions(body, ARROW, MODELS, NOW)
    assert str(caught.value).startswith(text)


def test_a_text_that_begins_within_a_character_is_refused() -> None:
    body = stream({"predicted": ["\N{DOG}", "abcd"]}, CAT)
    offsets = np.array([0, 4, 8], "<i4").tobytes()
    assert body.count(offsets) == 1
    with pytest.raises(BadBatch, match="begins within a character"):
        decode_predictions(body.replace(offsets, np.array([0, 2, 8], "<i4").tobytes()), ARROW, MODELS, NOW)
    for lie in ([0, 9, 8], [0, 4, 800], [-4, 4, 8]):
        with pytest.raises(BadBatch, match="texts that lie outside of its data"):
            decode_predictions(body.replace(offsets, np.array(lie, "<i4").tobytes()), ARROW, MODELS, NOW)


def test_indices_outside_of_a_dictionary_are_refused() -> None:
    codes = pa.DictionaryArray.from_arrays(pa.array([0, 7], pa.int8()), pa.array(["cat"]), safe=False)
    assert (
        refused({"predicted": codes}) == "field `predicted`: has dictionary indices that lie outside of its dictionary"
    )


def test_a_stream_that_would_fill_the_memory_is_refused_before() -> None:
    rows = 20_000_000
    columns = {name: pa.nulls(rows) for name in ("predicted", "features.age")}
    assert "send smaller batches" in refused(columns)
    batch = pa.record_batch({"predicted": ["cat"]}).replace_schema_metadata(CAT)
    with pytest.raises(BadBatch, match="too many small batches"):
        decode_predictions(written([batch] * 100_001), ARROW, MODELS, NOW)
