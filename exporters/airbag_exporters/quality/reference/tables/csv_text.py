"""CSV with a header, read strictly.

CSV has no types: whether a column is numeric or categorical must be said. An empty field is a missing value.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import TextIOWrapper
from itertools import islice
from pathlib import Path

from airbag.errors import ConfigError, Problem
from airbag_exporters.quality.reference.chunk import CHUNK_ROWS, Chunk, Kinds, Read, columns, numbers

UNTYPED_NUMBER, UNTYPED_TEXT = "text that looks like numbers", "text that does not look like numbers"
_LOOK = 1000
_TELL = 1000


@dataclass(frozen=True)
class CsvTable:
    """One file. Fields are divided by commas and quoted with `"`; a byte order mark is skipped."""

    path: Path
    missing: frozenset[str]

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size

    def types(self, read: Read) -> Mapping[str, str]:
        """What the first 1,000 rows look like; only good for advice."""
        header, rows = self._rows(read)
        first = [row for _, row in islice(rows, _LOOK)]
        by_column = zip(*first, strict=True) if first else [()] * len(header)
        return {name: self._look(values) for name, values in zip(header, by_column, strict=True)}

    def chunks(self, kinds: Kinds, read: Read) -> Iterator[Chunk]:
        """All rows; ConfigError at a line that is no row."""
        header, rows = self._rows(read)
        places = {name: header.index(name) for name in kinds}
        while some := list(islice(rows, CHUNK_ROWS)):
            lines, fields = zip(*some, strict=True)
            by_column = [*zip(*fields, strict=True)]
            given = {name: by_column[place] for name, place in places.items()}
            yield columns(given, kinds, len(some), partial(self._place, lines), self.missing)

    def _place(self, lines: Sequence[int], at: int) -> str:
        return f"{self.path.name}, line {lines[at]}"

    def _look(self, values: Sequence[str]) -> str:
        try:
            numbers(values, self.missing)
        except ValueError:
            return UNTYPED_TEXT
        return UNTYPED_NUMBER if any(value not in self.missing for value in values) else UNTYPED_TEXT

    def _rows(self, read: Read) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
        """The header, and every row after it with its line number."""
        rows = self._lines(read)
        _, header = next(rows, (0, []))
        if not header:
            raise self._wrong("is empty", "its first line must name the columns")
        unnamed = [str(place) for place, name in enumerate(header, 1) if not name.strip()]
        twins = [name for name, count in Counter(header).items() if count > 1]
        if unnamed:
            raise self._wrong(f"names no column at place {', '.join(unnamed)} of its header")
        if twins:
            raise self._wrong(f"has more than one column called {', '.join(map(repr, twins))}")
        return header, self._even(rows, len(header))

    def _even(self, rows: Iterator[tuple[int, list[str]]], width: int) -> Iterator[tuple[int, list[str]]]:
        blank = 0
        for line, row in rows:
            if not row:
                blank = blank or line
                continue
            if blank:
                raise self._wrong(f"line {blank} is empty")
            if len(row) != width:
                raise self._wrong(f"line {line} has {len(row)} fields, the header {width}")
            yield line, row

    def _lines(self, read: Read) -> Iterator[tuple[int, list[str]]]:
        told = 0
        try:
            with self.path.open("rb") as raw, TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
                reader = csv.reader(text, strict=True)
                for row in reader:
                    yield reader.line_num, row
                    if reader.line_num % _TELL == 0:
                        at = raw.tell()
                        read(at - told)
                        told = at
        except (csv.Error, UnicodeDecodeError, OSError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise self._wrong(f"cannot be read as CSV: {why}") from error

    def _wrong(self, what: str, remedy: str = "") -> ConfigError:
        return ConfigError("data", [Problem(str(self.path), what, remedy)])


def open_table(path: Path, missing: frozenset[str]) -> CsvTable:
    """The file; ConfigError when it cannot be opened."""
    table = CsvTable(path, missing | {""})
    table.types(lambda _: None)
    return table
