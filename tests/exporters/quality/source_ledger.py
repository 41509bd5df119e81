"""A taker for tests of sources: rows and cursors in one SQLite transaction, as the quality exporter's ledgers do it."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from airbag_exporters.quality.columns import BadBatch
from airbag_exporters.quality.intake.taker import Kind
from airbag_exporters.quality.ledger.values import LedgerUnavailable


class SqliteTaker:
    """Takes lines {"n": NUMBER} and keeps every number in its order; all other lines are refused.

    While `up` is cleared nothing can be committed. `before` is called before every commit.
    """

    def __init__(self, file: Path, before: Callable[[], None] = lambda: None) -> None:
        self._file = file
        self._before = before
        self._lock = threading.Lock()
        self.up = threading.Event()
        self.up.set()
        self.refusals = self.takes = 0
        with self._connected() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS rows (at INTEGER PRIMARY KEY, kind TEXT, n INTEGER)")
            connection.execute("CREATE TABLE IF NOT EXISTS cursors (name TEXT PRIMARY KEY, value TEXT)")

    def take(self, kind: Kind, body: bytes, content_type: str, cursors: Mapping[str, str]) -> int:
        with self._lock:
            self.takes += 1
            if not self.up.is_set():
                self.refusals += 1
                raise LedgerUnavailable("the disk is full")
            rows = [(str(kind), _number(line)) for line in body.split(b"\n") if line.strip()]
            self._before()
            with self._connected() as connection:
                connection.executemany("INSERT INTO rows (kind, n) VALUES (?, ?)", rows)
                connection.executemany("INSERT OR REPLACE INTO cursors VALUES (?, ?)", cursors.items())
            return len(rows)

    def cursor(self, name: str) -> str | None:
        with self._connected() as connection:
            found = connection.execute("SELECT value FROM cursors WHERE name = ?", (name,)).fetchone()
        return found[0] if found else None

    def numbers(self, kind: str = "predictions") -> list[int]:
        """What was counted, in order."""
        with self._connected() as connection:
            return [n for (n,) in connection.execute("SELECT n FROM rows WHERE kind = ? ORDER BY at", (kind,))]

    def _connected(self) -> _Connected:
        return _Connected(self._file)


class _Connected:
    """A connection that commits at the end of the block, and is closed."""

    def __init__(self, file: Path) -> None:
        self._connection = sqlite3.connect(file, timeout=60)

    def __enter__(self) -> sqlite3.Connection:
        return self._connection.__enter__()

    def __exit__(self, *error: object) -> None:
        self._connection.__exit__(*error)  # type: ignore[arg-type] # passed on as it came
        self._connection.close()


def _number(line: bytes) -> int:
    try:
        return int(json.loads(line)["n"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadBatch(f"line 1: {error}") from error


def line(number: int) -> bytes:
    """A line that is taken."""
    return b'{"n": %d}\n' % number


def lines(*numbers: int) -> bytes:
    """Several."""
    return b"".join(map(line, numbers))
