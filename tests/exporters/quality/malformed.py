"""Valid batches of every kind and format, and a hundred ways to spoil each."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import pyarrow as pa

from airbag_exporters.quality.intake import Kind
from tests.exporters.quality.intake_server import ARROW, JSON, NDJSON

Event = dict[str, Any]
Spoil = Callable[[random.Random, Event], None]

ROWS = 8


def seeded(seed: int) -> random.Random:
    """The same batches in every run."""
    return random.Random(seed)  # noqa: S311 - no secrets here


class Batch(NamedTuple):
    kind: Kind
    content_type: str
    body: bytes


def events(kind: Kind, rng: random.Random) -> list[Event]:
    """Valid ones, with ids that no other batch has."""
    return [_EVENT[kind](rng, f"{rng.getrandbits(64):x}") for _ in range(ROWS)]


def _prediction(rng: random.Random, name: str) -> Event:
    return {
        "id": name, "model_name": "churn", "model_version": rng.randint(1, 3), "serving": "main",
        "predicted": rng.choice(["stay", "leave"]), "score": rng.random(), "latency_seconds": rng.random(),
        "features": {"age": rng.randint(18, 90), "plan": rng.choice(["pro", "basic", None])},
        "segments": {"country": rng.choice(["de", "fr", "it"])}, "timestamp": 1_700_000_000.0 + rng.random(),
    }  # fmt: skip


def _label(rng: random.Random, name: str) -> Event:
    return {"id": name, "actual": rng.choice(["stay", "leave"]), "timestamp": 1_700_000_100.0}


def _run(rng: random.Random, name: str) -> Event:
    return {
        "pipeline": "features", "run_id": name, "task": rng.choice(["extract", "load"]), "status": "success",
        "started_at": 1_700_000_000.0, "finished_at": 1_700_000_060.0, "rows": rng.randint(0, 1000), "log_errors": 0,
        "synced_until": 1_700_000_000.0,
    }  # fmt: skip


_EVENT = {Kind.PREDICTIONS: _prediction, Kind.LABELS: _label, Kind.PIPELINE_RUNS: _run}


def ndjson(rows: list[Event]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def array(rows: list[Event]) -> bytes:
    return json.dumps(rows).encode()


def columns(rows: list[Event]) -> Event:
    """The columnar object of these events."""
    found: Event = {name: [row[name] for row in rows] for name in rows[0]}
    for name in ("features", "segments"):
        if name in found:
            found[name] = {each: [row[name][each] for row in rows] for each in rows[0][name]}
    return found


def arrow(columnar: Event) -> bytes:
    """An IPC stream; features and segments as flat columns."""
    flat = {}
    for name, values in columnar.items():
        if isinstance(values, dict):
            flat |= {f"{name}.{each}": one for each, one in values.items()}
        else:
            flat[name] = values
    table = pa.table(flat)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table, max_chunksize=3)
    return bytes(sink.getvalue().to_pybytes())


def valid(kind: Kind, form: str, rng: random.Random) -> Batch:
    """`form` is ndjson, array, columns or arrow."""
    return encoded(kind, form, events(kind, rng))


def encoded(kind: Kind, form: str, rows: list[Event]) -> Batch:
    if form == "ndjson":
        return Batch(kind, NDJSON, ndjson(rows))
    if form == "array":
        return Batch(kind, JSON, array(rows))
    if form == "columns":
        return Batch(kind, JSON, json.dumps(columns(rows)).encode())
    return Batch(kind, ARROW, arrow(columns(rows)))


def _set(name: str, *values: object) -> Spoil:
    return lambda rng, event: event.__setitem__(name, rng.choice(values))


def _without(name: str) -> Spoil:
    return lambda _, event: event.__delitem__(name)


_COMMON: list[Spoil] = [_set("unheard_of", 1, None, "x"), _set("timestamp", -1, "now", 4e12, [], {}, True)]
_SPOILS: dict[Kind, list[Spoil]] = {
    Kind.PREDICTIONS: [
        *_COMMON, _without("model_name"), _without("model_version"),
        _set("id", "", "x" * 257, 7, True, []), _set("model_name", "", 7, None, [], "y" * 257),
        _set("model_version", -1, 1.5, "three", "", 1 << 63, True, "1" * 20), _set("serving", "elsewhere", 7, []),
        _set("predicted", [], {}, True), _set("score", "high", -0.1, 1.1, True, [], 1e999),
        _set("scores", [0.5], [0.5, 0.25, 0.25], "x", [1.5, -0.5], {}, [None, 1]),
        _set("features", "x", 7, [1], [1, "a", 2], {"age": "old"}, {"age": {}}, {"plan": [1]}, {"age": True}),
        _set("segments", "de", ["de"], {"country": {}}, {"country": 1.5}, {"country": True}),
        _set("latency_seconds", -1, "fast", [], True), _set("actual", [], {}, True),
    ],
    Kind.LABELS: [
        *_COMMON, _without("id"), _without("actual"), _set("id", "", "x" * 257, 7, None, []),
        _set("actual", None, [], {}, True),
    ],
    Kind.PIPELINE_RUNS: [
        _set("unheard_of", 1), _without("pipeline"), _without("run_id"), _without("status"), _without("finished_at"),
        _set("pipeline", "", 7, None), _set("run_id", "", 7, "x" * 257), _set("status", "done", "", 1, None),
        _set("started_at", -1, 1_700_000_061.0, "x", None), _set("finished_at", 1.0, 4e12, None),
        _set("rows", -1, 1.5, "many", 1 << 64), _set("log_errors", -1, [], True), _set("synced_until", -5, 4e12, "x"),
    ],
}  # fmt: skip
"""Each makes an event wrong, whatever stands in the others."""


def one_wrong_event(kind: Kind, form: str, rng: random.Random) -> Batch:
    """All events are right but one."""
    rows = events(kind, rng)
    rng.choice(_SPOILS[kind])(rng, rng.choice(rows))
    return encoded(kind, form, rows)


def wrong_columns(kind: Kind, rng: random.Random) -> Batch:
    """A columnar object with a column that is too short, too long, gone, of the wrong kind, or not known."""
    batch = columns(events(kind, rng))
    names = [name for name, values in batch.items() if isinstance(values, list)]
    name = rng.choice(names)
    needed = {"id", "actual"} if kind is Kind.LABELS else {"model_name", "model_version"}
    match rng.randrange(6):
        case 0:
            batch[name].pop()
        case 1:
            batch[name].append(batch[name][0])
        case 2:
            del batch[rng.choice(sorted(needed))]
        case 3:
            batch[name] = rng.choice([{}, {"a": [1]}, True, [[]] * ROWS, [{}] * ROWS])
        case 4:
            batch["unheard_of"] = [1] * ROWS
        case 5 if kind is Kind.PREDICTIONS:
            batch[rng.choice(["features", "segments"])] = rng.choice([[], 7, {"age": 7}, {"age": [1]}, {"age": None}])
        case _:
            batch[name] = []
    return Batch(kind, JSON, json.dumps(batch).encode())


def wrong_table(kind: Kind, rng: random.Random) -> Batch:
    """An Arrow stream that is sound, with a column that is gone, of a type that it cannot have, or not known."""
    batch = columns(events(kind, rng))
    needed = ["id", "actual"] if kind is Kind.LABELS else ["model_name", "model_version"]
    match rng.randrange(4):
        case 0:
            del batch[rng.choice(needed)]
        case 1:
            batch["unheard_of"] = [1] * ROWS
        case 2:
            batch[rng.choice(["timestamp", *needed])] = rng.choice([[[1]] * ROWS, [b"\xff"] * ROWS])
        case _:
            batch["timestamp"] = [*[1.0] * (ROWS - 1), rng.choice([-1.0, float("inf"), 4e12])]
    return Batch(kind, ARROW, arrow(batch))


def damaged(batch: Batch, rng: random.Random) -> Batch:
    """Some bytes of it changed, put in, doubled, lost, or cut off. A few of these are still valid."""
    body = bytearray(batch.body)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at, length = rng.randrange(len(body) or 1), rng.choice([1, 1, 4, 16, 200])
        match rng.randrange(7):
            case 0 if body:
                body[at] ^= 1 << rng.randrange(8)
            case 1 if body:
                body[at] = rng.choice(b'\x00\xff"{}[],:\n\\-9e.')
            case 2:
                body[at:at] = rng.choice([b"\xff\xfe", b"\x00", b'"', b"}", b"[", b"\n", rng.randbytes(length)])
            case 3:
                del body[at : at + length]
            case 4:
                body[at:at] = body[at : at + length]
            case 5:
                del body[at:]
            case _:
                body[at : at + 4] = struct.pack("<i", rng.choice([-1, 0, 1, 1 << 30, -(1 << 31), rng.getrandbits(31)]))
    return batch._replace(body=bytes(body))


NESTED = [
    Batch(kind, content_type, data)
    for kind in Kind
    for content_type in (NDJSON, JSON)
    for data in (
        b"[" * 100_000, b'{"a":' * 100_000, b"[" * 50_000 + b"]" * 50_000, b'"', b"\xef\xbb\xbf[", b"null", b"7", b"{}",
        b'"text"', b"[[]]", b"[null]", b"[7]", b"\x00" * 1000, b"\xff" * 1000, b'{"id": "\xed\xa0\x80"}',
        b"9" * 10_000, b"-", b"1e999999", b"true", b"[" + b"1," * 10_000 + b"1]",
    )
]  # fmt: skip
