"""Entries of a Redis stream as batches of lines, and the cursor that says which of them are counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from airbag_exporters.quality.intake.taker import Kind

BYTES_MAX = 1 << 20
LINES_MAX = 5000
ENTRY_MAX = 16 << 20

Fields = Mapping[bytes, bytes]


class Unfit(ValueError):
    """An entry that nothing can be made of."""


class Progress(msgspec.Struct, frozen=True):
    """The entries of the last batch that are counted, and how many lines of the one after them.

    Kept in the same commit as the counters: whatever of these is delivered again is only confirmed.
    """

    done: tuple[str, ...] = ()
    current: str = ""
    lines: int = 0

    def text(self) -> str:
        """As a cursor."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def parse(cls, text: str | None) -> Progress:
        """From a cursor; nothing done where there is none, or none of ours."""
        try:
            return msgspec.json.decode(text, type=cls) if text else cls()
        except msgspec.DecodeError:
            return cls()

    def lines_done(self, entry: str) -> int:
        """Of an entry that is not done."""
        return self.lines if entry == self.current else 0


@dataclass(frozen=True)
class Entry:
    """`lines` are those that were not counted yet, `skipped` how many were."""

    id: str
    kind: Kind
    lines: Sequence[bytes]
    skipped: int = 0

    @classmethod
    def of(cls, id: str, fields: Fields, progress: Progress) -> Entry:
        """Raises Unfit."""
        try:
            kind = Kind(fields[b"kind"].decode())
            data = fields[b"data"]
        except KeyError as error:
            raise Unfit(f"has no field {error.args[0].decode()}") from None
        except ValueError:
            raise Unfit(f"has the kind {fields[b'kind']!r}; known: {', '.join(Kind)}") from None
        if len(data) > ENTRY_MAX:
            raise Unfit(f"has {len(data)} bytes, more than {ENTRY_MAX}")
        lines = [line for line in data.split(b"\n") if line.strip()]
        skipped = min(progress.lines_done(id), len(lines))
        return cls(id, kind, lines[skipped:], skipped)


def batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Neighbours of one kind together, up to LINES_MAX lines and BYTES_MAX bytes; a larger entry is alone."""
    batch: list[Entry] = []
    lines = size = 0
    for entry in entries:
        bytes_ = sum(map(len, entry.lines))
        is_full = lines + len(entry.lines) > LINES_MAX or size + bytes_ > BYTES_MAX
        if batch and (is_full or entry.kind is not batch[0].kind):
            yield batch
            batch, lines, size = [], 0, 0
        batch.append(entry)
        lines, size = lines + len(entry.lines), size + bytes_
    if batch:
        yield batch


def progress_after(batch: Sequence[Entry], lines: int | None) -> Progress:
    """What is done once the first `lines` lines of the batch are, or all of them."""
    if lines is None:
        return Progress(tuple(entry.id for entry in batch))
    done: list[str] = []
    for entry in batch:
        if lines < len(entry.lines):
            return Progress(tuple(done), entry.id, entry.skipped + lines)
        lines -= len(entry.lines)
        done.append(entry.id)
    return Progress(tuple(done))


def origin(batch: Sequence[Entry], line: int) -> Entry:
    """The entry that a line of the batch came from."""
    for entry in batch:
        if line < len(entry.lines):
            return entry
        line -= len(entry.lines)
    raise IndexError(line)
