"""Columnar JSON: one object whose values are lists of equal length."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from typing import Any, TypeVar

import msgspec
import numpy as np

from airbag_exporters.quality.columns import BadBatch, Labels
from airbag_exporters.quality.decode.columns import Rows, floats, numbers_or_texts, values
from airbag_exporters.quality.decode.decoded import Decoded
from airbag_exporters.quality.decode.events import BAD, Class, LabelColumns, PredictionColumns, Value
from airbag_exporters.quality.decode.features import is_given
from airbag_exporters.quality.decode.labels import labels
from airbag_exporters.quality.decode.limits import check_values
from airbag_exporters.quality.decode.lines import BOM
from airbag_exporters.quality.decode.owners import Whose
from airbag_exporters.quality.decode.problems import Problems, shortened
from airbag_exporters.quality.decode.rows import ids_of
from airbag_exporters.quality.decode.table import Ragged, Read, Table, decode_table, place
from airbag_exporters.quality.hashing import hash_texts
from airbag_exporters.quality.models import Models

_PREDICTIONS = msgspec.json.Decoder(PredictionColumns)
_LABELS = msgspec.json.Decoder(LabelColumns)
Given = TypeVar("Given", PredictionColumns, LabelColumns)


def decode_columnar(body: bytes, models: Models, now: float) -> Decoded:
    """Every row; BadBatch names row and field."""
    given = _read(_PREDICTIONS, body)
    size = _size(given)
    whose, codes = _whose(given, size)
    return decode_table(
        Table(
            whose, codes,
            ids=ids_of(given.id or []),
            predicted=_column(given.predicted),
            score=_floats(given.score),
            scores=_ragged(given.scores),
            features=_features(given.features),
            segments={name: Read(numbers_or_texts(each)) for name, each in (given.segments or {}).items()},
            latency=_floats(given.latency_seconds),
            at=_floats(given.timestamp),
            actual=_column(given.actual),
        ),
        models, now,
    )  # fmt: skip


def decode_label_columns(body: bytes, now: float) -> Labels:
    """Every row; BadBatch names row and field."""
    given = _read(_LABELS, body)
    size = _size(given)
    at = _floats(given.timestamp)
    return labels(
        hash_texts(given.id), numbers_or_texts(given.actual), np.full(size, np.nan) if at is None else at, now,
        Problems(place),
    )  # fmt: skip


def _read(decoder: msgspec.json.Decoder[Given], body: bytes) -> Given:
    check_values(body)
    try:
        return decoder.decode(body.removeprefix(BOM))
    except BAD as error:
        raise BadBatch(_told(error)) from error


def _told(error: Exception) -> str:
    """msgspec's message, with its path `$.score[2]` as "row 3, field `score`"."""
    what, _, path = str(error).partition(" - at `")
    found = re.fullmatch(r"\$\.(\w+(?:\[\.\.\.\])?)(?:\[(\d+)\].*)?`", path, re.DOTALL)
    if not found:
        return shortened(what)
    row = f"{place(int(found[2]))}, " if found[2] else ""
    return shortened(f"{row}field `{found[1].removesuffix('[...]')}`: {what}")


def _size(given: PredictionColumns | LabelColumns) -> int:
    """The number of rows; BadBatch when the columns do not agree."""
    lengths: dict[str, int] = {}
    for name in given.__struct_fields__:
        column = getattr(given, name)
        if isinstance(column, list):
            lengths[name] = len(column)
        elif isinstance(column, dict):
            lengths.update({f"{name}.{key}": len(each) for key, each in column.items()})
    first = next(iter(lengths), "")
    for name, length in lengths.items():
        if length != lengths[first]:
            raise BadBatch(shortened(f"field `{name}`: has {length} rows, but `{first}` has {lengths[first]}"))
    return lengths.get(first, 0)


def _whose(given: PredictionColumns, size: int) -> tuple[Sequence[Whose], Rows]:
    names = (given.serving, given.model_name, given.model_version)
    if not any(isinstance(each, list) for each in names):
        return [Whose(*names)], np.zeros(size, dtype=np.intp)  # type: ignore[arg-type] # none is a list
    each = [column if isinstance(column, list) else [column] * size for column in names]
    numbers: dict[Any, int] = {}
    codes = [numbers.setdefault(whose, len(numbers)) for whose in zip(*each, strict=True)]
    return [Whose(*whose) for whose in numbers], np.array(codes, dtype=np.intp)


def _column(given: Sequence[Class | None] | None) -> Any:
    return None if given is None else numbers_or_texts(given)


def _floats(given: Sequence[float | None] | None) -> Any:
    return None if given is None else floats(given)


def _ragged(given: list[list[float] | None] | None) -> Ragged | None:
    if given is None:
        return None
    lengths = np.array([len(each or ()) for each in given], dtype=np.int64)
    flat = floats(list(chain.from_iterable(each for each in given if each)))
    return Ragged(flat, np.cumsum(lengths) - lengths, lengths, is_given(given))


def _features(given: dict[str, list[Value]] | None) -> dict[str, Read] | None:
    return None if given is None else {name: Read(values(each)) for name, each in given.items()}
