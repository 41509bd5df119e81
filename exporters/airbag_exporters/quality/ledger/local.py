"""The ledger of a single process: everything is found in memory, and a store makes it outlive the process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from airbag.clock import Clock
from airbag_exporters.quality.columns import Keys, Owner
from airbag_exporters.quality.ledger.keyindex import Places
from airbag_exporters.quality.ledger.ring import Ring
from airbag_exporters.quality.ledger.values import (
    WAITING,
    Change,
    Conflict,
    Expired,
    Kept,
    LedgerUnavailable,
    Limits,
    Looked,
    State,
)

EARLY = np.dtype([("key", "<u8"), ("since", "<f8")])
"""A label that waits for its prediction; `since` is when it came."""
DONE, EXTRA = 1, 2
"""Flags: of a prediction that had its label, of an early label that is none any more; of one with extra bytes."""
_OPAQUE = np.dtype((np.void, WAITING.itemsize))  # a row as bytes, which numpy copies faster than field by field
_AT_ONCE = 100_000  # rows that one call of `expire` reports
_ROOM = 1 << 20  # rows beyond `pending_max` that may come before `expire` is called


@dataclass(frozen=True)
class Entry:
    """A change with its place in the log: `rows` (WAITING) go to positions from `first` on, those from `waiting` on
    are done already; `extras` and `early_data` are by position; `marks` are predictions that are done now, `spent`
    those of them that had extras, `matched` early labels that are none any more.
    """

    first: int
    rows: NDArray[np.void]
    waiting: int
    extras: Mapping[int, bytes]
    marks: Places
    spent: Places
    early: NDArray[np.void]
    early_data: Mapping[int, bytes]
    matched: Places
    owners: Mapping[int, Owner]
    blocks: Mapping[str, bytes]
    cursors: Mapping[str, str]


class Memory:
    """What is held: `waiting` and `early` rows, and who the owners are."""

    def __init__(self, limits: Limits, waiting: int = 0, early: int = 0) -> None:
        """With room for what was kept while `pending_max` was larger, too."""
        self.waiting = Ring(WAITING, max(limits.pending_max, waiting) + _ROOM)
        self.early = Ring(EARLY, max(limits.pending_max, early) + _ROOM, hidden=DONE)
        self.pending = 0
        self.owners: dict[int, Owner] = {}


class Store(Protocol):
    """Where entries are kept. A call that raises LedgerUnavailable has kept nothing."""

    def load(self, limits: Limits) -> tuple[Memory, Kept]:
        """What was kept. StartError when it makes no sense."""

    def write(self, entry: Entry) -> None:
        """Keep it, whole."""

    def forget(self, head: int, early_head: int, blocks: Mapping[str, bytes]) -> None:
        """Let go of all before these positions, and keep the blocks with that."""

    def extras(self, positions: Places) -> dict[int, bytes]:
        """By position, what was kept for these predictions."""

    def early_data(self, positions: Places) -> dict[int, bytes]:
        """By position, what was kept for these labels."""

    def close(self) -> None:
        """Let go of the file."""


class LocalLedger:
    """A Ledger (see there) over a store. What is committed reaches the store first, and memory only when that worked.

    `expire` also lets go of what it need not report: predictions that had their label, and labels that had theirs.
    """

    batch_rows_max = 1 << 18  # so that no commit keeps others waiting for long

    def __init__(self, store: Store, limits: Limits, clock: Clock) -> None:
        self._store, self._limits, self._clock = store, limits, clock
        self._memory: Memory  # from `load` on
        self._revision = 0

    def load(self) -> Kept:
        self._memory, kept = self._store.load(self._limits)
        return kept

    def bound(self, limits: Limits) -> None:
        held_at_most = self._memory.waiting.capacity - _ROOM
        self._limits = replace(limits, pending_max=min(limits.pending_max, held_at_most))

    def look(self, keys: Keys) -> Looked:
        waiting, early = self._memory.waiting, self._memory.early
        positions = waiting.find(keys)
        found = np.flatnonzero(positions >= 0)
        held = positions[found]
        flags = waiting.flags_at(held)
        states = np.zeros(len(keys), np.uint8)
        states[found] = np.where(flags & DONE, State.DONE, State.PENDING)
        rows = np.zeros(len(keys), WAITING)
        rows.view(_OPAQUE)[found] = waiting.take(held).view(_OPAQUE)
        with_extra = found[flags == EXTRA]
        extras = self._store.extras(positions[with_extra]) if len(with_extra) else {}
        if not len(early):
            return Looked(states, rows, _by_row(extras, positions, with_extra))
        unknown = np.flatnonzero(positions < 0)
        positions[unknown] = early.find(keys[unknown])
        labelled = unknown[positions[unknown] >= 0]
        states[labelled] = State.EARLY
        data = self._store.early_data(positions[labelled]) if len(labelled) else {}
        return Looked(states, rows, _by_row(extras, positions, with_extra), _by_row(data, positions, labelled))

    def commit(self, change: Change) -> None:
        entry = self._entry(change)
        memory = self._memory
        if memory.waiting.room < len(entry.rows) or memory.early.room < len(entry.early):
            raise LedgerUnavailable("the ledger holds all that it has room for, and nothing was expired yet")
        try:
            memory.waiting.reserve(len(entry.rows))
            memory.early.reserve(len(entry.early))
        except MemoryError as error:
            raise LedgerUnavailable("no memory for more predictions; lower `pending_max`") from error
        self._store.write(entry)
        self._revision += 1
        apply(memory, entry)

    def expire(self, now: float) -> Expired:
        while True:
            waiting, early, limits = self._memory.waiting, self._memory.early, self._limits
            head = waiting.due(now - limits.label_ttl, limits.pending_max, _AT_ONCE)
            early_head = early.due(now - limits.early_label_ttl, limits.pending_max, _AT_ONCE)
            if (head, early_head) == (waiting.head, early.head):
                return Expired()
            unlabelled = (waiting.flags(waiting.head, head) & DONE) == 0
            owners, counts = np.unique(waiting.column("owner", waiting.head, head)[unlabelled], return_counts=True)
            labels = int(np.count_nonzero(early.flags(early.head, early_head) == 0))
            predictions = dict(zip(owners.tolist(), counts.tolist(), strict=True))
            expired = Expired(predictions, labels, (self._revision, head, early_head))
            if expired:
                return expired
            self.forget(expired, {})

    def forget(self, expired: Expired, blocks: Mapping[str, bytes]) -> None:
        memory = self._memory
        nothing = (self._revision, memory.waiting.head, memory.early.head)
        revision, head, early_head = cast(tuple[int, int, int], expired.token or nothing)
        if revision != self._revision:
            raise Conflict("something was committed since these expired")
        self._store.forget(head, early_head, blocks)
        self._revision += 1
        memory.pending -= sum(expired.predictions.values())
        memory.waiting.drop(head)
        memory.early.drop(early_head)

    def owner(self, number: int) -> Owner | None:
        return self._memory.owners.get(number)

    def pending(self) -> int:
        return self._memory.pending

    def give_up(self) -> None:
        """Nothing waits for anybody."""

    def close(self) -> None:
        self._store.close()

    def _entry(self, change: Change) -> Entry:
        waiting, early = self._memory.waiting, self._memory.early
        held = waiting.find(np.ascontiguousarray(change.done["key"]))
        marks = held[held >= 0]
        marks = marks[(waiting.flags_at(marks) & DONE) == 0]
        complete = np.flatnonzero(held < 0)
        rows = np.concatenate([change.new, change.done[complete]]) if len(complete) else change.new
        keys = np.fromiter(change.early, np.uint64, len(change.early))
        first_ones = keys[early.find(keys) < 0]  # a label that waits already stays as it is
        late = np.zeros(len(first_ones), EARLY)
        late["key"], late["since"] = first_ones, self._clock.now()
        gone = early.find(rows["key"].copy())
        return Entry(
            first=waiting.tail,
            rows=rows,
            waiting=len(change.new),
            extras=_by_position(change.extras, change.new["key"], waiting.tail),
            marks=marks,
            spent=marks[(waiting.flags_at(marks) & EXTRA) != 0],
            early=late,
            early_data=dict(enumerate((change.early[key] for key in first_ones.tolist()), early.tail)),
            matched=gone[gone >= 0],
            owners={number: owner for number, owner in change.owners.items() if number not in self._memory.owners},
            blocks=change.blocks,
            cursors=change.cursors,
        )


def apply(memory: Memory, entry: Entry) -> None:
    """Hold what the entry says."""
    flags = np.zeros(len(entry.rows), np.uint8)
    flags[entry.waiting :] = DONE
    flags[[position - entry.first for position in entry.extras]] = EXTRA
    memory.waiting.add(entry.rows, flags)
    memory.waiting.flag(entry.marks, DONE)
    memory.early.flag(entry.matched, DONE)
    memory.early.add(entry.early, np.zeros(len(entry.early), np.uint8))
    memory.owners.update(entry.owners)
    memory.pending += entry.waiting - len(entry.marks)


def _by_row(found: Mapping[int, bytes], positions: Places, rows: NDArray[np.intp]) -> dict[int, bytes]:
    return {row: found[position] for row, position in zip(rows.tolist(), positions[rows].tolist(), strict=True)}


def _by_position(extras: Mapping[int, bytes], keys: Keys, first: int) -> dict[int, bytes]:
    """Extras of keys that do not begin to wait are left out."""
    if not extras:
        return {}
    return {position: extras[key] for position, key in enumerate(keys.tolist(), first) if key in extras}
