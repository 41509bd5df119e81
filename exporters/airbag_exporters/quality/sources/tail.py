"""Reads one file as it grows, across rotation, truncation and deletion."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

from airbag.clock import Clock
from airbag_exporters.quality.sources.position import Position
from airbag_exporters.quality.sources.rotation import after, find, open_regular

log = logging.getLogger("airbag.quality.sources")

CHUNK = 1 << 20
"""The most that is read at once, and the longest line."""
LINES_MAX = 5000
PATIENCE = 5.0
"""Seconds for which a file must be silent, once another has its name, before that one is read."""
_DORMANT_AFTER = 60.0
_SHOWN = 4096


@dataclass(frozen=True)
class Piece:
    """Complete lines with their ends, from the offset `begin` to `end`.

    `too_long` is the beginning of the only line, which is longer than CHUNK.
    """

    data: bytes
    begin: int
    end: int
    too_long: bytes = b""

    @cached_property
    def lines(self) -> Sequence[bytes]:
        """Without blank ones, and without their ends."""
        return [line for line, _ in self._lines]

    def after(self, lines: int | None) -> int:
        """The offset once so many of `lines` are done, or all."""
        return self.end if lines is None else self._lines[lines - 1][1]

    @cached_property
    def _lines(self) -> Sequence[tuple[bytes, int]]:
        every = self.data.removesuffix(b"\n").split(b"\n")
        ends = accumulate((len(line) + 1 for line in every), initial=self.begin)
        next(ends)
        return [(line, end) for line, end in zip(every, ends, strict=True) if line.strip()]


class Tail:
    """One path. `position` is what was settled last; None where reading has yet to begin, at the start of the file.

    The file stays open while it is busy, so that what is written to it after it was renamed is still read. OSError
    when it cannot be read.
    """

    def __init__(self, path: Path, position: Position | None, clock: Clock, patience: float = PATIENCE) -> None:
        self.path = path
        self.position = position
        self._clock = clock
        self._patience = patience
        self._handle: int | None = None
        self._is_copy = False
        self._ended_at = -1
        self._scanned = 0
        self._silent_since = 0.0
        self._dormant: tuple[int, int, int] | None = None

    @property
    def name(self) -> str:
        """Of its cursor."""
        return f"file:{self.path}"

    def read(self) -> Piece | None:
        """The next lines, or None when there is nothing to do now."""
        if self._handle is None and not self._open():
            return None
        if not self._at()[1].fits(self._at()[0]):  # cut off, and perhaps written to again
            self.close()
            if not self._open():
                return None
        handle, position = self._at()
        size = os.fstat(handle).st_size
        if size == self._ended_at:
            return self._at_end(size)
        self._silent_since = self._clock.monotonic()
        data = os.pread(handle, CHUNK, position.offset)
        complete = data.rfind(b"\n") + 1
        if complete:
            return _piece(data[:complete], position.offset)
        if len(data) == CHUNK and (end := self._end_of_line(handle, position.offset + CHUNK)):
            return Piece(b"", position.offset, end, data[:_SHOWN])
        self._ended_at = size
        return self._at_end(size)

    def moved(self, offset: int) -> Position:
        """The position at that offset of what was read last."""
        handle, position = self._at()
        return position.at(handle, offset)

    def settle(self, offset: int) -> None:
        """All before that offset is done."""
        self.position = self.moved(offset)
        self._scanned = 0

    def lag(self) -> int:
        """Bytes that were not settled yet."""
        status = self._status()
        if self.position is None or status is None:
            return status.st_size if status else 0
        if status.st_ino == self.position.inode:
            return max(status.st_size - self.position.offset, 0)
        rest = os.fstat(self._handle).st_size - self.position.offset if self._handle is not None else 0
        return status.st_size + max(rest, 0)

    def let_go(self) -> None:
        """Leave what was read to somebody else, and begin with whatever has the name now."""
        self.close()
        self.position = None

    def close(self) -> None:
        """Close the file; `read` opens it again."""
        if self._handle is not None:
            os.close(self._handle)
        self._handle, self._ended_at, self._scanned, self._is_copy, self._dormant = None, -1, 0, False, None

    def _at(self) -> tuple[int, Position]:
        if self._handle is None or self.position is None:
            raise RuntimeError("nothing is open")
        return self._handle, self.position

    def _open(self) -> bool:
        status = self._status()
        if status is not None and self._dormant == _shape(status):
            return False
        handle = open_regular(self.path) if status else None
        if handle is not None and (self.position is None or self._continues(handle, self.position)):
            self.position = self.position or Position(os.fstat(handle).st_ino)
        elif self.position is not None and (rest := find(self.path, self.position)):
            if handle is not None:
                os.close(handle)
            handle = open_regular(rest)
            self._is_copy = os.fstat(handle).st_ino != self.position.inode
            self.position = _in_file(self.position, handle)
        elif handle is not None and self.position is not None:
            log.warning("what was left to read of a file is gone; its successor is read from the start",
                        extra={"path": str(self.path), "offset": self.position.offset})  # fmt: skip
            self.position = Position(os.fstat(handle).st_ino)
        self._handle, self._ended_at, self._scanned = handle, -1, 0
        return handle is not None

    @staticmethod
    def _continues(handle: int, position: Position) -> bool:
        return os.fstat(handle).st_ino == position.inode and position.fits(handle)

    def _end_of_line(self, handle: int, begin: int) -> int:
        """The offset behind the end of a line that is too long, 0 while it has none."""
        at = max(begin, self._scanned)
        while data := os.pread(handle, CHUNK, at):
            found = data.find(b"\n")
            if found >= 0:
                return at + found + 1
            at += len(data)
        self._scanned = at
        return 0

    def _at_end(self, size: int) -> Piece | None:
        """What to do where nothing more can be read: wait, or go on with the next file."""
        handle, position = self._at()
        status, silent = self._status(), self._clock.monotonic() - self._silent_since
        is_current = status is not None and status.st_ino == position.inode
        is_only_renamed = status is None and os.fstat(handle).st_nlink > 0
        if is_current and silent >= _DORMANT_AFTER and status is not None and status.st_size == size:
            self.close()
            self._dormant = _shape(status)
        if is_current or is_only_renamed or (silent < self._patience and not self._is_copy):
            return None
        if size > position.offset:  # whoever wrote it will not end this line any more
            rest = os.pread(handle, CHUNK, position.offset)
            is_long = len(rest) == CHUNK
            return Piece(b"" if is_long else rest, position.offset, size, rest[:_SHOWN] if is_long else b"")
        self._go_on(handle, position)
        return None

    def _go_on(self, handle: int, position: Position) -> None:
        following = after(self.path, position, os.fstat(handle).st_mtime_ns)
        self.close()
        self.position = None
        if following != self.path:
            self._handle = open_regular(following)
        elif self._status() is not None:
            self._handle = open_regular(self.path)
        if self._handle is not None:
            self.position = Position(os.fstat(self._handle).st_ino, before=position.inode)

    def _status(self) -> os.stat_result | None:
        try:
            return self.path.stat()
        except FileNotFoundError:
            return None


def _in_file(position: Position, handle: int) -> Position:
    return Position(os.fstat(handle).st_ino, position.offset, position.head, position.before)


def _shape(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _piece(data: bytes, begin: int) -> Piece:
    """Of complete lines, LINES_MAX at most."""
    if data.count(b"\n") > LINES_MAX:
        data = data[: len(data) - len(data.split(b"\n", LINES_MAX)[-1])]
    return Piece(data, begin, begin + len(data))
