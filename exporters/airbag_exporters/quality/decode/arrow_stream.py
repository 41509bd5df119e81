"""Arrow IPC streams as columns, without copying.

This is read here and not by a library because the bytes come from anybody: pyarrow costs 100 MB, and nanoarrow (0.9)
crashed the process on damaged schemas. Nothing is indexed before its bounds are checked. Compressed buffers are not
read; the whole body may be compressed instead. The layout is that of
https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from airbag_exporters.quality.columns import BadBatch
from airbag_exporters.quality.decode.arrow_column import Array, ArrowColumn
from airbag_exporters.quality.decode.arrow_schema import Field, Schema, read_schema
from airbag_exporters.quality.decode.flat import Damaged, Table
from airbag_exporters.quality.decode.limits import Budget
from airbag_exporters.quality.decode.problems import shortened
from airbag_exporters.quality.decode.texts import Bytes

CUT = "the Arrow stream is cut off or damaged"
PIECES_MAX = 100_000
"""How many columns of batches there may be; each costs microseconds, however few rows it has."""
_CONTINUATION = 0xFFFFFFFF
_SCHEMA, _DICTIONARY, _RECORDS = 1, 2, 3  # of the union MessageHeader
_GROUPS = ("features", "segments")


@dataclass(frozen=True)
class Stream:
    """The columns by name, a piece a batch; `constants` is the metadata of the schema."""

    rows: int
    columns: Mapping[str, Sequence[ArrowColumn]]
    constants: Mapping[str, str]


def read_stream(body: bytes, fields: Sequence[str]) -> Stream:
    """A stream whose columns are among `fields`. BadBatch for what is none."""
    try:
        return _read(body, fields)
    except Damaged as error:
        raise BadBatch(CUT) from error


def _read(body: bytes, fields: Sequence[str]) -> Stream:
    messages = _messages(body)
    kind, table, _ = next(messages, (0, None, None))
    if kind != _SCHEMA or table is None:
        raise BadBatch("the Arrow stream does not begin with a schema")
    schema = read_schema(table)
    _check_names([each.name for each in schema.fields], fields)
    reader = _Batches(schema)
    for kind, table, data in messages:
        if kind == _DICTIONARY:
            reader.add_dictionary(table, data)
        elif kind == _RECORDS:
            reader.add(table, data)
        else:
            raise BadBatch("the Arrow stream holds something else than batches and dictionaries")
    return Stream(reader.rows, reader.columns, schema.constants)


def _messages(body: bytes) -> Iterator[tuple[int, Table, Bytes]]:
    """The kind, header and body of each message, to the end of the stream; nothing may follow it."""
    whole, start = np.frombuffer(body, np.uint8), 0
    while start < len(body):
        start, size = _prefix(body, start)
        if not size:
            break
        if size > len(body) - start:
            raise Damaged
        message = Table.root(body[start : start + size])
        start += size
        header, length = message.table(2), message.number(3, "<q")
        if header is None or not 0 <= length <= len(body) - start:
            raise Damaged
        yield message.number(1, "<B"), header, whole[start : start + length]
        start += length
    if start < len(body):
        raise BadBatch("there are bytes behind the end of the Arrow stream")


def _prefix(body: bytes, start: int) -> tuple[int, int]:
    """Where a message begins, and its size; 0 ends the stream. Streams before Arrow 0.15 have no continuation mark."""
    try:
        (first,) = struct.unpack_from("<I", body, start)
        if first != _CONTINUATION:
            return start + 4, first
        return start + 8, struct.unpack_from("<I", body, start + 4)[0]
    except struct.error as error:
        raise Damaged from error


class _Batches:
    """Gathers the batches of a stream."""

    def __init__(self, schema: Schema) -> None:
        self.rows = 0
        self.columns: dict[str, list[ArrowColumn]] = {each.name: [] for each in schema.fields}
        self._schema = schema
        self._dictionaries: dict[int, Array] = {}
        self._budget = Budget()
        self._pieces = 0

    def add(self, table: Table, data: Bytes) -> None:
        """A RecordBatch."""
        length = table.number(0, "<q")
        if length < 0:
            raise Damaged
        self._budget.spend(length, 1)
        for field, array in zip(self._schema.fields, self._arrays(table, data, self._schema.fields), strict=True):
            if array.length != length:
                raise BadBatch("the columns of an Arrow batch are not equally long")
            self._budget.spend(array.cells(), 1)
            self.columns[field.name].append(ArrowColumn(field.name, array))
        self.rows += length

    def add_dictionary(self, table: Table, data: Bytes) -> None:
        """A DictionaryBatch; one of a number that was there before takes its place."""
        number, values = table.number(0, "<q"), table.table(1)
        if values is None or number not in self._schema.dictionaries:
            raise Damaged
        if table.number(2, "<B"):
            raise BadBatch("the Arrow stream adds to a dictionary; send whole dictionaries")
        (self._dictionaries[number],) = self._arrays(values, data, (self._schema.dictionaries[number],))

    def _arrays(self, table: Table, data: Bytes, fields: Sequence[Field]) -> list[Array]:
        if table.table(3) is not None:
            raise BadBatch(
                "the Arrow stream has compressed buffers; send them as they are, with content-encoding: gzip"
            )
        self._pieces += len(fields)
        if self._pieces > PIECES_MAX:
            raise BadBatch("the Arrow stream has too many small batches; send fewer and larger ones")
        nodes, buffers, extra = iter(table.pairs(1)), iter(table.pairs(2)), iter(table.numbers(4))
        arrays = [self._array(field, nodes, buffers, extra, data) for field in fields]
        if next(nodes, None) or next(buffers, None):
            raise Damaged
        return arrays

    def _array(
        self, field: Field, nodes: Iterator[tuple[int, int]], buffers: Iterator[tuple[int, int]],
        extra: Iterator[int], data: Bytes,
    ) -> Array:  # fmt: skip
        length, nulls = next(nodes, (-1, 0))
        more = next(extra, 0) if field.format in ("vu", "vz") else 0
        if length < 0 or not 0 <= more <= len(data):
            raise Damaged
        own = tuple(_buffer(next(buffers, None), data) for _ in range(field.buffers + more))
        if own and not nulls:
            own = (own[0][:0], *own[1:])
        children = tuple(self._array(child, nodes, buffers, extra, data) for child in field.children)
        dictionary = None
        if field.dictionary is not None:
            dictionary = self._dictionaries.get(field.dictionary)
            if dictionary is None:
                raise BadBatch(shortened(f"field `{field.name}`: its dictionary did not come before it"))
        return Array(field.name, field.format, length, own, children, dictionary)


def _buffer(place: tuple[int, int] | None, data: Bytes) -> Bytes:
    if place is None:
        raise Damaged
    offset, size = place
    if not (size >= 0 and 0 <= offset <= len(data) - size):
        raise Damaged
    return data[offset : offset + size]


def _check_names(names: Sequence[str], fields: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        group, dot, _ = name.partition(".")
        if name not in fields and not (dot and group in _GROUPS and group in fields):
            raise BadBatch(shortened(f"field `{name}`: is no column that is taken here; taken: {', '.join(fields)}"))
        if name in seen:
            raise BadBatch(shortened(f"field `{name}`: is there twice"))
        seen.add(name)
