"""Columnar JSON: one object whose values are lists of equal length."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

import msgspec
import numpy as np

from airbag_exporters.quality.columns import BadBatch, Labels
from airbag_exporters.quality.decode.columns import Column, Rows, floats, numbers_or_texts, values
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


class _PredictionColumns(PredictionColumns, frozen=True, forbid_unknown_fields=True):
    """Features are decoded one by one, which keeps the objects of one column in the processor's cache."""

    features: dict[str, msgspec.Raw] | None = None  # type: ignore[assignment] # bytes of what it is there


_PREDICTIONS = msgspec.json.Decoder(_PredictionColumns)
_LABELS = msgspec.json.Decoder(LabelColumns)
_FEATURE = msgspec.json.Decoder(list[Value])
Given = TypeVar("Given", _PredictionColumns, LabelColumns)


def decode_columnar(body: bytes, models: Models, now: float) -> Decoded:
    """Every row; BadBatch names row and field."""
    given = _read(_PREDICTIONS, body)
    features = {name: _feature(name, each) for name, each in (given.features or {}).items()}
    size = _size(given, {f"features.{name}": column for name, column in features.items()})
    whose, codes = _whose(given, size)
    return decode_table(
        Table(
            whose, codes,
            ids=ids_of(given.id or []),
            predicted=_column(given.predicted),
            score=_floats(given.score),
            scores=_ragged(given.scores),
            features=None if given.features is None else {name: Read(each) for name, each in features.items()},
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
    size = _size(given, {})
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
    return _at(found[1].removesuffix("[...]"), found[2], what) if found else shortened(what)


def _at(field: str, row: str | None, what: str) -> str:
    return shortened(f"{place(int(row))}, field `{field}`: {what}" if row else f"field `{field}`: {what}")


def _feature(name: str, given: msgspec.Raw) -> Column:
    try:
        return values(_FEATURE.decode(given))
    except BAD as error:
        what, _, path = str(error).partition(" - at `")
        found = re.fullmatch(r"\$\[(\d+)\]`", path)
        raise BadBatch(_at(f"features.{name}", found and found[1], what)) from error


def _size(given: _PredictionColumns | LabelColumns, features: Mapping[str, Column]) -> int:
    """The number of rows; BadBatch when the columns do not agree."""
    lengths: dict[str, int] = {}
    for name in given.__struct_fields__:
        column = getattr(given, name)
        if isinstance(column, list):
            lengths[name] = len(column)
        elif isinstance(column, dict) and name != "features":
            lengths.update({f"{name}.{key}": len(each) for key, each in column.items()})
    lengths.update({name: len(column) for name, column in features.items()})
    first = next(iter(lengths), "")
    for name, length in lengths.items():
        if length != lengths[first]:
            raise BadBatch(shortened(f"field `{name}`: has {length} rows, but `{first}` has {lengths[first]}"))
    return lengths.get(first, 0)


def _whose(given: _PredictionColumns, size: int) -> tuple[Sequence[Whose], Rows]:
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
