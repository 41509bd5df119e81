"""The source `files`: every line of a file that grows is counted once."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from airbag.clock import Clock
from airbag_exporters.config import TailedFile
from airbag_exporters.quality.intake.taker import Kind
from airbag_exporters.quality.sources.dead_letters import DeadLetters
from airbag_exporters.quality.sources.position import Position
from airbag_exporters.quality.sources.rotation import is_pattern, matching
from airbag_exporters.quality.sources.settle import Batch, Settler, Stopped
from airbag_exporters.quality.sources.tail import CHUNK, PATIENCE, Piece, Tail
from airbag_exporters.quality.sources.taker import Taker
from airbag_exporters.quality.sources.told import Told

POLL_SECONDS = 0.25


class FileSource:
    """Reads the files of one entry of the configuration, on the thread that calls `run`."""

    def __init__(
        self, file: TailedFile, taker: Taker, told: Told, letters: DeadLetters, stop: threading.Event, clock: Clock,
        patience: float = PATIENCE,
    ) -> None:  # fmt: skip
        self._path = file.path
        self._kind = Kind(file.kind)
        self._taker = taker
        self._told = told
        self._letters = letters
        self._stop = stop
        self._clock = clock
        self._patience = patience
        self._settler = Settler(taker, told, stop)
        self._tails: dict[Path, Tail] = {}
        self._lag = told.metrics.file_lag.labels(str(file.path))

    def run(self) -> None:
        """Read until `stop` is set."""
        try:
            while not self._stop.is_set():
                if not self._turn():
                    self._stop.wait(POLL_SECONDS)
        except Stopped:
            pass
        finally:
            for tail in self._tails.values():
                tail.close()

    def _turn(self) -> bool:
        """A piece of every file; whether there was any."""
        try:
            self._look_around()
            found = [self._read(tail) for tail in self._tails.values()]
            self._lag.set(sum(tail.lag() for tail in self._tails.values()))
        except Stopped:
            raise
        except OSError as error:
            self._told.warn("a file cannot be read", {"reason": str(error)})
            return False
        except Exception as error:  # noqa: BLE001 - the thread must live; the position stays where it is
            self._told.warn("reading failed, it is tried again", {"reason": str(error)}, error=True)
            self._stop.wait(1)
            return False
        return any(found)

    def _look_around(self) -> None:
        """Notice new files of a pattern."""
        paths = matching(self._path) if is_pattern(self._path) else [self._path]
        new = [(path, self._saved(path)) for path in paths if path not in self._tails]
        # Those that were read before come first: a new one may be theirs under another name.
        for path, position in sorted(new, key=lambda each: each[1] is None):
            self._tails[path] = Tail(path, position or self._handed_over(path), self._clock, self._patience)

    def _saved(self, path: Path) -> Position | None:
        return Position.parse(self._taker.cursor(f"file:{path}"))

    def _handed_over(self, path: Path) -> Position | None:
        """How far it was read under another name of the pattern, which is then free for another file."""
        inode = _inode(path)
        for tail in self._tails.values():
            position = tail.position
            if position and position.inode == inode and _inode(tail.path) != inode:
                self._settler.remember(self._kind, {tail.name: "", f"file:{path}": position.text()})
                tail.let_go()
                return position
        return None

    def _read(self, tail: Tail) -> bool:
        try:
            piece = tail.read()
        except OSError as error:  # which does not stop the others
            self._told.warn("a file cannot be read", {"path": str(tail.path), "reason": str(error)})
            return False
        if piece is None:
            return False
        if piece.too_long:
            self._reject(tail, piece.end, f"longer than {CHUNK} bytes", piece.too_long)
            self._settler.remember(self._kind, self._cursors(tail, piece.end))
        elif piece.data.strip():
            self._settler.settle(self._kind, self._batch(tail, piece))
        tail.settle(piece.end)
        return True

    def _batch(self, tail: Tail, piece: Piece) -> Batch:
        return Batch(
            piece.data,
            lambda: piece.lines,
            lambda lines: self._cursors(tail, piece.after(lines)),
            lambda lines: tail.settle(piece.after(lines)),
            lambda line, reason: self._reject(tail, piece.after(line + 1), reason, piece.lines[line]),
        )

    def _cursors(self, tail: Tail, offset: int) -> Mapping[str, str]:
        return {tail.name: tail.moved(offset).text()}

    def _reject(self, tail: Tail, end: int, reason: str, line: bytes) -> None:
        place = f"{tail.path}, before byte {end}"
        self._letters.add(self._path.name, place, reason, line)
        self._told.rejected(place, reason)


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
