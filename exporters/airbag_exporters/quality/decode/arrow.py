"""Arrow IPC streams: predictions and labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from airbag_exporters.quality.columns import Coded, Floats, Labels
from airbag_exporters.quality.decode.arrow_column import ArrowColumn
from airbag_exporters.quality.decode.arrow_stream import Stream, read_stream
from airbag_exporters.quality.decode.columns import Column, Rows, joined, owners
from airbag_exporters.quality.decode.decoded import Decoded
from airbag_exporters.quality.decode.events import FIELDS, LABEL_FIELDS
from airbag_exporters.quality.decode.given import Ids, Mask
from airbag_exporters.quality.decode.labels import labels
from airbag_exporters.quality.decode.owners import Whose
from airbag_exporters.quality.decode.problems import Problems
from airbag_exporters.quality.decode.table import Ragged, Table, decode_table, place
from airbag_exporters.quality.models import Models

_ID_MAX = 256
_OWNER = ("serving", "model_name", "model_version")


class ArrowValues:
    """One column of all batches, read when it is needed: a feature that nobody knows may be of any type."""

    def __init__(self, columns: Sequence[ArrowColumn]) -> None:
        self._columns = columns

    def values(self) -> Column:
        """Numbers or texts."""
        return joined([column.values() for column in self._columns])

    def known(self) -> Mask:
        """Where there is a value."""
        return np.concatenate([_all_of(column) for column in self._columns])


def decode_arrow(body: bytes, models: Models, now: float) -> Decoded:
    """Every row of every batch of the stream; BadBatch names row and field."""
    stream = read_stream(body, FIELDS)
    return decode_table(_table(stream), models, now) if stream.rows else Decoded()


def decode_arrow_labels(body: bytes, now: float) -> Labels:
    """Every row of every batch of the stream; BadBatch names row and field."""
    stream = read_stream(body, LABEL_FIELDS)
    problems = Problems(place)
    ids = _ids(stream, problems)
    actual = _joined(stream, "actual", ArrowColumn.values)
    at = _floats(stream, "timestamp", ArrowColumn.seconds)
    nothing = np.full(stream.rows, np.nan)
    if ids is None or ids.known is not None:
        lacking = np.arange(stream.rows) if ids is None or ids.known is None else np.flatnonzero(~ids.known)
        problems.add_rows(lacking, "id", "is needed")
    keys = np.zeros(stream.rows, np.uint64) if ids is None else ids.keys
    return labels(keys, nothing if actual is None else actual, nothing if at is None else at, now, problems)


def _table(stream: Stream) -> Table:
    problems = Problems(place)
    ids = _ids(stream, problems)
    whose, codes = _whose(stream, problems)
    problems.refuse()
    features, featured = _group(stream, "features")
    segments, _ = _group(stream, "segments")
    return Table(
        whose, codes, ids,
        predicted=_joined(stream, "predicted", ArrowColumn.values),
        score=_floats(stream, "score", ArrowColumn.floats),
        scores=_scores(stream),
        features=features,
        featured=featured,
        segments=segments or {},
        latency=_floats(stream, "latency_seconds", ArrowColumn.seconds),
        at=_floats(stream, "timestamp", ArrowColumn.seconds),
        actual=_joined(stream, "actual", ArrowColumn.values),
    )  # fmt: skip


def _joined(stream: Stream, name: str, read: Callable[[ArrowColumn], Column]) -> Column | None:
    columns = stream.columns.get(name)
    return joined([read(column) for column in columns]) if columns else None


def _floats(stream: Stream, name: str, read: Callable[[ArrowColumn], Floats]) -> Floats | None:
    columns = stream.columns.get(name)
    return np.concatenate([read(column) for column in columns]) if columns else None


def _group(stream: Stream, group: str) -> tuple[dict[str, ArrowValues] | None, Mask | None]:
    """Features or segments: the fields of a struct, or columns called `features.NAME`; None when there are neither.

    And where the struct is not missing as a whole; None when it never is.
    """
    structs = stream.columns.get(group)
    flat = {name.partition(".")[2]: columns for name, columns in stream.columns.items() if name.startswith(f"{group}.")}
    if not structs or structs[0].format == "n":
        return {name: ArrowValues(columns) for name, columns in flat.items()} if flat else None, None
    if structs[0].format != "+s":
        raise structs[0].refused(f"Expected a struct, or a column for each, called `{group}.NAME`")
    if flat:
        raise structs[0].refused(f"there are columns called `{group}.NAME` beside it")
    children = [struct.children() for struct in structs]
    found = {name: ArrowValues([each[name] for each in children]) for name in children[0]}
    known = np.concatenate([_all_of(struct) for struct in structs])
    return found, None if known.all() else known


def _all_of(column: ArrowColumn) -> Mask:
    return np.ones(len(column), np.bool_) if column.known is None else column.known


def _ids(stream: Stream, problems: Problems) -> Ids | None:
    columns = stream.columns.get("id")
    if not columns or columns[0].format == "n":
        return None
    keys, start = [], 0
    for column in columns:
        texts = column.ids()
        for rows, text in ((texts.characters_over(_ID_MAX), f"<= {_ID_MAX}"), (texts.empty(), ">= 1")):
            problems.add_rows(rows + start, "id", f"Expected `str` of length {text}")
        problems.refuse()  # before long texts are hashed
        keys.append(texts.keys())
        start += len(column)
    known = np.concatenate([_all_of(column) for column in columns])
    return Ids(np.concatenate(keys), None if known.all() else known)


def _scores(stream: Stream) -> Ragged | None:
    columns = stream.columns.get("scores")
    if not columns or columns[0].format == "n":
        return None
    parts = [column.lists() for column in columns]
    values = np.concatenate([values for values, _, _ in parts])
    starts = np.cumsum([0, *(len(values) for values, _, _ in parts[:-1])])
    first = np.concatenate([offsets[:-1] + start for (_, offsets, _), start in zip(parts, starts, strict=True)])
    lengths = np.concatenate([np.diff(offsets) for _, offsets, _ in parts])
    return Ragged(values, first, lengths, np.concatenate([known for _, _, known in parts]))


def _whose(stream: Stream, problems: Problems) -> tuple[Sequence[Whose], Rows]:
    """The owners that are named, and which of them each row's is."""
    named = [_texts(stream, name) for name in _OWNER]
    for name, column in zip(_OWNER, named, strict=True):
        if name != "serving":
            lacking = np.arange(stream.rows) if column is None else np.flatnonzero(column.codes < 0)
            problems.add_rows(lacking, name, "is needed, as a column or in the metadata of the schema")
    problems.refuse()
    whose, codes = owners([column for column in named if column is not None], stream.rows)
    found = []
    for texts in whose:
        given = iter(texts)
        serving, model, version = (None if column is None else next(given) for column in named)
        found.append(Whose(serving, model or "", version or ""))
    return found, codes


def _texts(stream: Stream, name: str) -> Coded | None:
    """A column of texts, or the same text for all rows."""
    columns = stream.columns.get(name)
    if columns:
        column = joined([column.coded() for column in columns])
        return column if isinstance(column, Coded) else None
    if name in stream.constants:
        return Coded((stream.constants[name],), np.zeros(stream.rows, dtype=np.intp))
    return None
