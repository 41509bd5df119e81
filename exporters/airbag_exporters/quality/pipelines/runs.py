"""What `POST /v1/pipeline-runs` takes, checked field by field; a batch is good as a whole or refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from airbag_exporters.config import ExportersConfig
from airbag_exporters.quality.columns import OTHER, BadBatch, Keys
from airbag_exporters.quality.hashing import hash_texts
from airbag_exporters.quality.media import JSON

FUTURE_MAX = 86_400.0
"""How many seconds a time may lie ahead of our clock; beyond, its unit is wrong rather than the clock."""

Status = Literal["success", "failure", "skipped"]
STATUSES: tuple[Status, ...] = get_args(Status)

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Epoch = Annotated[float, msgspec.Meta(ge=0)]
Amount = Annotated[int, msgspec.Meta(ge=0, le=10**12)]  # so that millions of them add up within 64 bits

_BAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run that has ended, or one task of it where `task` is given.

    Times are seconds since the epoch; `synced_until` is the time of the newest data that arrived where it belongs.
    """

    pipeline: Text
    run_id: Text
    status: Status
    started_at: Epoch
    finished_at: Epoch
    task: Text | None = None
    rows: Amount | None = None
    log_errors: Amount | None = None
    synced_until: Epoch | None = None


@dataclass(frozen=True)
class Counted:
    """What counts of one run, under the names that its series have: configured ones, or `other`.

    `task` is empty for a run as a whole. Times that lie ahead of our clock are set back to it, for a clock that is
    fast must not hide that data is late.
    """

    pipeline: str
    task: str
    status: Status
    seconds: float
    ended: float
    rows: int = 0
    log_errors: int = 0
    synced_until: float | None = None


@dataclass(frozen=True)
class Runs:
    """A batch. `keys` (n,) name the run and task of each row, none stands twice; `repeated` rows were left out."""

    keys: Keys
    rows: tuple[Counted, ...]
    repeated: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: NDArray[np.bool_]) -> Runs:
        """The rows that `rows` (n,) is true for."""
        return Runs(self.keys[rows], tuple(row for row, wanted in zip(self.rows, rows, strict=True) if wanted))


def decode_runs(body: bytes, content_type: str, config: ExportersConfig, now: float) -> Runs:
    """Every run of the batch, the first of those that have pipeline, run_id and task in common.

    `content_type` is NDJSON or JSON (an array). BadBatch for the first run that is wrong, naming line (or item) and
    field.
    """
    runs: dict[str, Run] = {}
    given = 0
    for place, run in _decoded(body, content_type):
        given += 1
        problem = _problem(run, now)
        if problem:
            raise BadBatch(f"{place}{problem}")
        runs.setdefault(_identity(run), run)
    known = {pipeline.name: frozenset(pipeline.tasks) for pipeline in config.pipelines}
    rows = tuple(_counted(run, known, now) for run in runs.values())
    return Runs(hash_texts(list(runs)), rows, given - len(runs))


_one = msgspec.json.Decoder(Run)
_array = msgspec.json.Decoder(list[Run])


def _decoded(body: bytes, content_type: str) -> Iterator[tuple[str, Run]]:
    """Each run and how a message names its place."""
    if content_type == JSON:
        try:
            runs = _array.decode(body)
        except _BAD as error:
            raise BadBatch(_told(error)) from error
        yield from ((f"item {number}, ", run) for number, run in enumerate(runs, start=1))
        return
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line.strip():
            try:
                yield f"line {number}: ", _one.decode(line)
            except _BAD as error:
                raise BadBatch(f"line {number}: {_told(error)}") from error


def _told(error: Exception) -> str:
    """msgspec's message, with its path `$[2].rows` as "item 3, field `rows`"."""
    what, _, path = str(error).partition(" - at `")
    found = re.fullmatch(r"\$(?:\[(\d+)\])?(?:\.(\w+))?`", path)
    if not found:
        return str(error)
    item = f"item {int(found[1]) + 1}" if found[1] else ""
    field = f"field `{found[2]}`" if found[2] else ""
    place = ", ".join(filter(None, (item, field)))
    return f"{place}: {what}" if place else what


def _problem(run: Run, now: float) -> str | None:
    if run.finished_at < run.started_at:
        return "field `finished_at`: is before `started_at`"
    for field, at in (("finished_at", run.finished_at), ("synced_until", run.synced_until or 0.0)):
        if at > now + FUTURE_MAX:
            return f"field `{field}`: is more than a day in the future; times are seconds since the epoch"
    return None


def _identity(run: Run) -> str:
    """What makes two reports one. As JSON, in which no two triples look alike, and marked, for ids of predictions
    are hashed into the same ledger."""
    return msgspec.json.encode(("pipeline-run", run.pipeline, run.run_id, run.task)).decode()


def _counted(run: Run, known: dict[str, frozenset[str]], now: float) -> Counted:
    pipeline = run.pipeline if run.pipeline in known else OTHER
    task = "" if run.task is None else run.task if run.task in known.get(pipeline, ()) else OTHER
    until = None if run.synced_until is None else min(run.synced_until, now)
    seconds, ended = run.finished_at - run.started_at, min(run.finished_at, now)
    return Counted(pipeline, task, run.status, seconds, ended, run.rows or 0, run.log_errors or 0, until)
