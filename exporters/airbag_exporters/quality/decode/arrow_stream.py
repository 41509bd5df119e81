"""An Arrow IPC stream, read by nanoarrow, which is imported when the first one comes.

nanoarrow validates offsets and buffer sizes on its full level; what it does not look at is checked in ArrowColumn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from airbag_exporters.quality.columns import BadBatch
from airbag_exporters.quality.decode.arrow_column import ArrowColumn, field_name
from airbag_exporters.quality.decode.arrow_frames import look_over
from airbag_exporters.quality.decode.limits import Budget
from airbag_exporters.quality.decode.problems import shortened

_GROUPS = ("features", "segments")


@dataclass(frozen=True)
class Stream:
    """The columns by name, a piece a batch; `constants` is the metadata of the schema."""

    rows: int
    columns: Mapping[str, Sequence[ArrowColumn]]
    constants: Mapping[str, str]


@contextmanager
def open_stream(body: bytes, fields: Sequence[str]) -> Iterator[Stream]:
    """A stream whose columns are among `fields`. BadBatch for what is none, also while its columns are read."""

    look_over(body)
    try:
        yield _read(body, fields)
    except RuntimeError as error:  # what nanoarrow's own error is
        raise BadBatch(_told(str(error))) from error


def _told(error: str) -> str:
    """nanoarrow's message, and what the sender can do where that is known."""
    what = error.partition("failed (")[2].partition("): ")[2] or error
    if "ictionar" in what and "ompress" in what:
        what = f"{what}. Send dictionary columns uncompressed, or use content-encoding: gzip instead"
    elif "View not yet supported" in what:
        what = f"{what}. Cast text columns to utf8 or large_utf8"
    return shortened(f"the Arrow stream cannot be read: {what}")


def _read(body: bytes, fields: Sequence[str]) -> Stream:
    from nanoarrow.c_array_stream import c_array_stream
    from nanoarrow.ipc import InputStream

    budget = Budget()
    rows = 0
    with InputStream.from_readable(body) as source, c_array_stream(source) as stream:
        schema = stream.get_schema()
        names = [field_name(each) for each in schema.children]
        _check_names(names, fields)
        columns: dict[str, list[ArrowColumn]] = {name: [] for name in names}
        for batch in stream:
            length = int(batch.length)
            budget.spend(length, 1)
            for name, array in zip(names, batch.children, strict=True):
                column = ArrowColumn(name, array)
                if len(column) != length or batch.offset:
                    raise BadBatch("the columns of an Arrow batch are not equally long")
                budget.spend(column.cells(), 1)
                columns[name].append(column)
            rows += length
        return Stream(rows, columns, _constants(schema))


def _check_names(names: Sequence[str], fields: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        group, dot, _ = name.partition(".")
        if name not in fields and not (dot and group in _GROUPS and group in fields):
            raise BadBatch(shortened(f"field `{name}`: is no column that is taken here; taken: {', '.join(fields)}"))
        if name in seen:
            raise BadBatch(shortened(f"field `{name}`: is there twice"))
        seen.add(name)


def _constants(schema: Any) -> Mapping[str, str]:
    try:
        return {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    except UnicodeDecodeError as error:
        raise BadBatch(f"the metadata of the schema is no UTF-8: {error}") from error
