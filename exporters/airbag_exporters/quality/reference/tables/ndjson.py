"""NDJSON: one object a line. A key that a line lacks is a missing value, as null is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from airbag.errors import ConfigError, Problem
from airbag_exporters.quality.reference.chunk import BOOLEAN, CHUNK_ROWS, NUMBER, TEXT, Chunk, Kinds, Read, columns

LINE_MAX = 16 << 20
_TELL = 1000
_SHAPES_MAX = 10_000

_TYPES = {int: NUMBER, float: NUMBER, str: TEXT, bool: BOOLEAN, list: "list", dict: "object"}

Row = Mapping[str, Any]  # Any: JSON, checked where a column of it is used
Decode = Callable[[bytes], Row | None]
"""A line as a row, or None when it is not wanted. Raises msgspec's and Unicode errors, and ValueError."""


@dataclass(frozen=True)
class NdjsonTable:
    """One file; `decode` makes a row of each of its lines."""

    path: Path
    decode: Decode
    missing: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size

    def types(self, read: Read) -> Mapping[str, str]:
        """Of every key in the whole file; several types of one key are named together."""
        found: dict[str, set[type]] = {}
        shapes: set[object] = set()
        for _, row in self._rows(read):
            shape = (*row, *map(type, row.values()))
            if shape in shapes:
                continue
            if len(shapes) < _SHAPES_MAX:
                shapes.add(shape)
            for name, value in row.items():
                found.setdefault(name, set()).add(type(value))
        return {name: _named(types) for name, types in found.items()}

    def chunks(self, kinds: Kinds, read: Read) -> Iterator[Chunk]:
        """All rows; ConfigError at a line that is no object."""
        rows = self._rows(read)
        while some := list(islice(rows, CHUNK_ROWS)):
            lines = [line for line, _ in some]
            given = {name: [row.get(name) for _, row in some] for name in kinds}
            yield columns(given, kinds, len(some), partial(self._place, lines), self.missing)

    def _place(self, lines: Sequence[int], at: int) -> str:
        return f"{self.path.name}, line {lines[at]}"

    def _row(self, line: bytes) -> Row | None:
        if len(line) > LINE_MAX:
            raise ValueError(f"is longer than {LINE_MAX} bytes")
        return self.decode(line) if line.strip() else None

    def _rows(self, read: Read) -> Iterator[tuple[int, Row]]:
        number = unread = 0
        try:
            with self.path.open("rb") as file:
                while line := file.readline(LINE_MAX + 1):
                    number += 1
                    unread += len(line)
                    if number % _TELL == 0:
                        read(unread)
                        unread = 0
                    row = self._row(line)
                    if row is not None:
                        yield number, row
        except (ValueError, RecursionError) as error:  # msgspec's and Unicode errors are ValueErrors
            raise ConfigError("data", [Problem(str(self.path), f"line {number} {_told(error)}")]) from error
        except OSError as error:
            raise ConfigError("data", [Problem(str(self.path), f"cannot be read: {error.strerror}")]) from error


def _named(types: set[type]) -> str:
    return " and ".join(sorted({_TYPES[each] for each in types - {type(None)}})) or "null"


def _told(error: Exception) -> str:
    known = isinstance(error, msgspec.MsgspecError | UnicodeDecodeError | RecursionError)
    return f"is no object: {error}" if known else str(error)


def open_table(path: Path, missing: frozenset[str]) -> NdjsonTable:
    """The file; ConfigError when it cannot be opened."""
    decoder = msgspec.json.Decoder(dict[str, Any])
    return opened(NdjsonTable(path, lambda line: decoder.decode(line.removeprefix(b"\xef\xbb\xbf")), missing))


def opened(table: NdjsonTable) -> NdjsonTable:
    """The table itself; ConfigError when its file cannot be opened."""
    try:
        table.path.open("rb").close()
    except OSError as error:
        raise ConfigError("data", [Problem(str(table.path), f"cannot be read: {error.strerror}")]) from error
    return table
