"""Whatever bytes come, a batch is decoded or refused as BadBatch, and nothing else happens."""

from __future__ import annotations

import json
import random

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from airbag_exporters.quality.columns import BadBatch
from airbag_exporters.quality.decode import ARROW, JSON, NDJSON, decode_labels, decode_predictions
from tests.exporters.quality.arrow_streams import written
from tests.exporters.quality.decoding import NOW, event, lines, models

MODELS = models()
EVENT = event(
    id="a", scores=[0.5, 0.25, 0.25], score=0.5, features={"age": 1, "plan": "x", "new": None}, timestamp=1,
    segments={"region": "eu"}, latency_seconds=0.5, actual="cat",
)  # fmt: skip
COLUMNS = {
    "model_name": pa.array(["multiclass"] * 3), "model_version": pa.array([3, 4, 3], pa.int32()),
    "serving": pa.array(["main"] * 3), "id": pa.array(["a", None, "\N{DOG}"]),
    "predicted": pa.array(["cat", "ox", "dog"]),
    "scores": pa.array([[0.5, 0.25, 0.25], None, [0, 1, 0]]), "timestamp": pa.array([1, 2, None], pa.timestamp("ms")),
    "features": pa.array([{"age": 1.5, "plan": "x"}, None, {"age": None, "plan": None}]),
    "segments.region": pa.array(["eu", "us", "eu"], pa.string_view()),
    "actual": pa.array(["cat", None, "cat"]).dictionary_encode(), "latency_seconds": pa.array([True, False, None]),
}  # fmt: skip
NAMES = {"model_name": "multiclass", "model_version": 3}
BATCH = pa.record_batch(COLUMNS)
BODIES = {
    NDJSON: [lines(EVENT, EVENT), lines({"id": "a", "actual": 1})],
    JSON: [
        json.dumps([EVENT, EVENT]).encode(),
        json.dumps({**NAMES, "predicted": ["cat"], "features": {"age": [1]}}).encode(),
        json.dumps({"id": ["a"], "actual": [1]}).encode(),
    ],
    ARROW: [written([BATCH]), written([BATCH.slice(0, 1), BATCH.slice(1)]), written([BATCH.select(["id", "actual"])])],
}  # fmt: skip
BOUNDS = [0, 1, -1, 2, 127, 255, 0x7FFF, 0x7FFFFFFF, -0x80000000, 1 << 32, 1 << 62, (1 << 63) - 1, -(1 << 63)]


def survives(body: bytes, content_type: str) -> None:
    for decode in (
        lambda: decode_predictions(body, content_type, MODELS, NOW),
        lambda: decode_labels(body, content_type, NOW),
    ):
        refusal = "a reason"
        try:
            decode()
        except BadBatch as error:
            refusal = str(error)
        assert refusal
        assert all(line.isprintable() and len(line) < 400 for line in refusal.split("\n"))


@given(st.binary(max_size=200), st.sampled_from([NDJSON, JSON, ARROW]))
def test_random_bytes(body: bytes, content_type: str) -> None:
    survives(body, content_type)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=6,
)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(list(EVENT)), json_values), st.booleans())
def test_events_and_columns_with_values_of_any_type(fields: dict[str, object], named: bool) -> None:
    named_fields = {**NAMES, "predicted": "cat"} if named else {}
    body = json.dumps({**named_fields, **fields}).encode()
    survives(body, NDJSON)
    survives(body, JSON)
    survives(b"[" + body + b"]", JSON)


@settings(max_examples=300)
@given(st.sampled_from([NDJSON, JSON, ARROW]), st.integers(0, 2), st.integers(0, 1 << 62))
def test_good_bodies_with_some_bytes_changed(content_type: str, number: int, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - nothing is secret
    bodies = BODIES[content_type]
    for _ in range(5):
        survives(changed(bodies[number % len(bodies)], chance), content_type)


def changed(body: bytes, chance: random.Random) -> bytes:
    """Flipped bits, numbers at their bounds, and pieces cut out or copied elsewhere."""
    bytes_ = bytearray(body)
    for _ in range(chance.choice([1, 1, 2, 5])):
        place, width = chance.randrange(len(bytes_) + 1), chance.choice([1, 2, 4, 8])
        match chance.randrange(6):
            case 0:
                bytes_[place : place + 1] = bytes([chance.randrange(256)])
            case 1 | 2:
                place -= place % width
                value = chance.choice(BOUNDS) & ((1 << 8 * width) - 1)
                bytes_[place : place + width] = value.to_bytes(width, "little")
            case 3:
                del bytes_[place : place + width]
            case 4:
                other = chance.randrange(len(bytes_) + 1)
                bytes_[place : place + 8] = bytes_[other : other + 8]
            case 5 if chance.random() < 0.2:
                del bytes_[place:]
    return bytes(bytes_)


def test_every_cut_of_a_good_stream_is_refused_or_a_shorter_one() -> None:
    body = BODIES[ARROW][1]
    for end in range(len(body)):
        survives(body[:end], ARROW)


def test_a_result_of_changed_bytes_never_reaches_beyond_them() -> None:
    """Columns of damaged streams can be read to their end; numpy would crash on a view that is too long."""
    chance = random.Random(7)  # noqa: S311 - nothing is secret
    for _ in range(2000):
        try:
            decoded = decode_predictions(changed(BODIES[ARROW][0], chance), ARROW, MODELS, NOW)
        except BadBatch:
            continue
        for part in decoded.parts:
            columns = [part.at, part.score, part.scores, *part.features.values()]
            assert all(np.array(column, copy=True).size >= 0 for column in columns if isinstance(column, np.ndarray))
