"""The ledger in one SQLite file: an append-only log of whole batches, so that it costs little per prediction.

`runs` are predictions in the order of arrival, `marks` say which of them had their label since. One transaction a
commit, WAL with synchronous=NORMAL: a killed process loses nothing that was committed. After a power cut the last
moments may be missing, but all of them: counters, predictions and cursors are then those of one earlier moment.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airbag.clock import Clock
from airbag_exporters.quality.columns import Owner
from airbag_exporters.quality.ledger.keyindex import Places
from airbag_exporters.quality.ledger.local import DONE, EARLY, EXTRA, Entry, LocalLedger, Memory
from airbag_exporters.quality.ledger.packing import packed, summed, unpacked, unsummed
from airbag_exporters.quality.ledger.ring import Ring
from airbag_exporters.quality.ledger.sqlite_file import NAME, connect, damaged, hold
from airbag_exporters.quality.ledger.values import Kept, LedgerUnavailable, Limits

Run = Callable[[str, Iterable[Sequence[object]]], object]
_RUN_ROWS = 1 << 16  # a batch that is larger takes several runs, so that they can go one by one
_LOAD_ROWS = 1 << 18
_UNSIGNED = (1 << 64) - 1
_ENDS = """SELECT waiting, (SELECT coalesce(max(first + rows), 0) FROM runs),
    early, (SELECT coalesce(max(position) + 1, 0) FROM early) FROM heads"""
_SPARE_BYTES = 16 << 20  # free pages in the file that are not worth returning to the disk
_RETURN_PAGES = 500  # how many of them go back at a time


class SqliteStore:
    """A Store (see there) in `folder`, which must be on a local disk. StartError when it cannot be used."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._held: int | None = hold(folder)
        try:
            self._connection = connect(folder)
        except BaseException:
            os.close(self._held)
            raise

    def load(self, limits: Limits) -> tuple[Memory, Kept]:
        try:
            return self._load(limits)
        except (sqlite3.DatabaseError, ValueError) as error:
            raise damaged(self._path, error) from error

    def write(self, entry: Entry) -> None:
        with self._writing() as run:
            run("INSERT INTO runs VALUES (?, ?, ?, ?)", _runs(entry))
            run("INSERT INTO marks VALUES (NULL, ?, ?)", _marks(entry))
            run("INSERT INTO extras VALUES (?, ?)", entry.extras.items())
            run("DELETE FROM extras WHERE position = ?", _each(entry.spent))
            run("INSERT INTO early VALUES (?, ?, ?, ?)", _early(entry))
            run("DELETE FROM early WHERE position = ?", _each(entry.matched))
            run("INSERT INTO owners VALUES (?, ?, ?, ?)", ((_signed(key), *who) for key, who in entry.owners.items()))
            _keep_blocks(run, entry.blocks)
            run("INSERT OR REPLACE INTO cursors VALUES (?, ?)", entry.cursors.items())

    def forget(self, head: int, early_head: int, blocks: Mapping[str, bytes]) -> None:
        with self._writing() as run:
            run("UPDATE heads SET waiting = ?, early = ?", [(head, early_head)])
            run("DELETE FROM runs WHERE first < (SELECT max(first) FROM runs WHERE first <= ?)", [(head,)])
            run("DELETE FROM marks WHERE tail <= ?", [(head,)])
            run("DELETE FROM extras WHERE position < ?", [(head,)])
            run("DELETE FROM early WHERE position < ?", [(early_head,)])
            _keep_blocks(run, blocks)
        self._shrink()

    def extras(self, positions: Places) -> dict[int, bytes]:
        return self._data(
            "SELECT position, data FROM extras WHERE position IN (SELECT value FROM json_each(?))", positions
        )

    def early_data(self, positions: Places) -> dict[int, bytes]:
        return self._data(
            "SELECT position, data FROM early WHERE position IN (SELECT value FROM json_each(?))", positions
        )

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # what cannot be tidied up now is read from the WAL at the next start
            self._connection.close()
        if self._held is not None:
            os.close(self._held)
        self._held = None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Run]:
        """Gives a function that runs a statement once for each of many values; all of it happens, or nothing."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection.executemany
            self._connection.execute("COMMIT")
        except BaseException as error:
            with contextlib.suppress(sqlite3.Error):  # what failed may also have ended the transaction
                self._connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise LedgerUnavailable(f"cannot write the quality ledger {self._path}: {error}") from error
            raise

    def _data(self, query: str, positions: Places) -> dict[int, bytes]:
        try:
            return dict(self._connection.execute(query, (json.dumps(positions.tolist()),)).fetchall())
        except sqlite3.Error as error:
            raise LedgerUnavailable(f"cannot read the quality ledger {self._path}: {error}") from error

    def _shrink(self) -> None:
        """Return some of the file's free pages when they are most of it; a failure costs nothing but room."""
        with contextlib.suppress(sqlite3.Error):
            names = ("freelist_count", "page_count", "page_size")
            free, pages, size = (self._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
            if free * 2 > pages and free * size > _SPARE_BYTES:
                self._connection.executescript(f"PRAGMA incremental_vacuum({_RETURN_PAGES})")  # `execute` does a page

    def _load(self, limits: Limits) -> tuple[Memory, Kept]:
        execute = self._connection.execute
        ((head, tail, early_head, early_tail),) = execute(_ENDS).fetchall()
        memory = Memory(limits, max(tail - head, 0), max(early_tail - early_head, 0))
        waiting = memory.waiting
        waiting.start_at(head)
        for rows, flags in _gathered(execute("SELECT first, waiting, data FROM runs ORDER BY first"), head):
            waiting.add(rows, flags)
        for (positions,) in execute("SELECT positions FROM marks"):
            _flag(waiting, np.frombuffer(unsummed(positions), "<i8"), DONE)
        with_extra = execute("SELECT position FROM extras")
        while some := with_extra.fetchmany(_LOAD_ROWS):
            _flag(waiting, np.array(some, np.int64)[:, 0], EXTRA)
        memory.pending = int(np.count_nonzero((waiting.flags(waiting.head, waiting.tail) & DONE) == 0))
        memory.early.start_at(early_head)
        _fill(memory.early, execute("SELECT position, key, since FROM early ORDER BY position").fetchall())
        memory.owners.update((key & _UNSIGNED, Owner(*who)) for key, *who in execute("SELECT * FROM owners"))
        blocks = {name: unsummed(data) for name, data in execute("SELECT name, data FROM blocks")}
        return memory, Kept(dict(memory.owners), blocks, dict(execute("SELECT name, value FROM cursors").fetchall()))


def sqlite_ledger(folder: Path, limits: Limits, clock: Clock) -> LocalLedger:
    """The ledger in this folder; a new one where there is none. StartError when it cannot be used."""
    return LocalLedger(SqliteStore(folder), limits, clock)


def _gathered(
    runs: Iterable[tuple[int, int, bytes]], head: int
) -> Iterator[tuple[NDArray[np.void], NDArray[np.uint8]]]:
    """Rows and flags from `head` on, many runs at a time; ValueError when one is missing."""
    rows: list[NDArray[np.void]] = []
    flags: list[NDArray[np.uint8]] = []
    size, expected = 0, None
    for first, waiting, data in runs:
        some = unpacked(data)
        if first != (first if expected is None and first <= head else expected):
            raise ValueError(f"the batch of predictions before number {first} is missing")
        expected = first + len(some)
        skipped = min(max(head - first, 0), len(some))
        rows.append(some[skipped:])
        flags.append(np.where(np.arange(len(some)) < waiting, 0, DONE).astype(np.uint8)[skipped:])
        size += len(some) - skipped
        if size >= _LOAD_ROWS:
            yield np.concatenate(rows), np.concatenate(flags)
            rows, flags, size = [], [], 0
    if (expected or 0) < head:
        raise ValueError(f"the batch of predictions before number {head} is missing")
    if rows:
        yield np.concatenate(rows), np.concatenate(flags)


def _flag(ring: Ring, positions: Places, bits: int) -> None:
    if len(positions) and int(positions.max()) >= ring.tail:
        raise ValueError("the newest batch of predictions is missing")
    ring.flag(positions[positions >= ring.head], bits)


def _fill(early: Ring, kept: list[tuple[int, int, float]]) -> None:
    """Labels that had their prediction are not kept; their places are held by rows that are gone."""
    if not kept:
        return
    places = np.array([position for position, _, _ in kept]) - early.head
    rows, flags = np.zeros(int(places[-1]) + 1, EARLY), np.full(int(places[-1]) + 1, DONE, np.uint8)
    rows["key"][places] = np.array([key for _, key, _ in kept], np.int64).view(np.uint64)
    rows["since"][places] = [since for _, _, since in kept]
    flags[places] = 0
    early.add(rows, flags)


def _runs(entry: Entry) -> Iterator[tuple[int, int, int, bytes]]:
    for start in range(0, len(entry.rows), _RUN_ROWS):
        rows = entry.rows[start : start + _RUN_ROWS]
        yield entry.first + start, len(rows), min(max(entry.waiting - start, 0), len(rows)), packed(rows)


def _marks(entry: Entry) -> list[tuple[int, bytes]]:
    if not len(entry.marks):
        return []
    return [(entry.first + len(entry.rows), summed(entry.marks.astype("<i8").tobytes()))]


def _early(entry: Entry) -> Iterator[tuple[int, int, float, bytes]]:
    keys, sinces = entry.early["key"].astype(np.int64).tolist(), entry.early["since"].tolist()
    return zip(entry.early_data, keys, sinces, entry.early_data.values(), strict=True)


def _keep_blocks(run: Run, blocks: Mapping[str, bytes]) -> None:
    run("INSERT OR REPLACE INTO blocks VALUES (?, ?)", ((name, summed(data)) for name, data in blocks.items() if data))
    run("DELETE FROM blocks WHERE name = ?", ((name,) for name, data in blocks.items() if not data))


def _each(positions: Places) -> Iterator[tuple[int]]:
    return ((position,) for position in positions.tolist())


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number
