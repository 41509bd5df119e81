"""Rows in the order of their arrival, found by key: the newest join at the tail, the oldest leave at the head.

Positions count from the first row that ever was, and mean the same row for ever. Memory follows the rows that are held:
room for many costs nothing until they come, and goes back when they leave.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import Keys
from airbag_exporters.quality.ledger.keyindex import KeyIndex, Places
from airbag_exporters.quality.ledger.space import SLACK, Space

_AT_ONCE = 1 << 18  # rows that are indexed or looked through at a time, for the sake of the memory that it takes


class Ring:
    """At most `capacity` rows of a type with the fields `key` and `since`; `flags` are a byte a row.

    Rows with the flag `hidden` are not found by their key any more, so that the key may come again.
    """

    def __init__(self, dtype: np.dtype[np.void], capacity: int, hidden: int = 0) -> None:
        size = 1 << (capacity + SLACK - 1).bit_length()
        self._mask, self._hidden = size - 1, np.uint8(hidden)
        self._opaque = np.dtype((np.void, dtype.itemsize))  # numpy copies bytes faster than field by field
        self._rows = Space(self._opaque, size)
        self._table: NDArray[np.void] = self._rows.array.view(dtype)
        self._flags = Space(np.dtype(np.uint8), size)
        self._index = KeyIndex(self._table["key"], self._is_live)
        self.head = self.tail = 0

    def __len__(self) -> int:
        return self.tail - self.head

    @property
    def capacity(self) -> int:
        """How many rows it can hold; what was asked for, or more."""
        return self._mask + 1 - SLACK

    @property
    def room(self) -> int:
        """How many rows can still be added."""
        return self.capacity - len(self)

    def start_at(self, position: int) -> None:
        """Count from here; only while it is empty."""
        self.head = self.tail = position

    def find(self, keys: Keys) -> Places:
        """(n,) the position of each key, -1 where it is not held."""
        if not len(self):
            return np.full(len(keys), -1, np.int64)
        places = self._index.find(keys)
        return np.where(places < 0, -1, self.head + ((places - self.head) & self._mask))

    def reserve(self, rows: int) -> None:
        """Do beforehand what may fail in `add`; MemoryError leaves all as it was."""
        if not self._index.is_crowded_by(rows):
            return
        self._index.clear(len(self) + rows)
        for start in range(self.head, self.tail, _AT_ONCE):
            stop = min(start + _AT_ONCE, self.tail)
            shown = (self.flags(start, stop) & self._hidden) == 0
            self._index.add(self.column("key", start, stop)[shown], np.arange(start, stop)[shown] & self._mask)

    def add(self, rows: NDArray[np.void], flags: NDArray[np.uint8]) -> None:
        """Append rows whose keys are not held, no more than `room`."""
        self.reserve(len(rows))
        first, stop, done = self.tail, self.tail + len(rows), 0
        for span in self._rows.spans(first, stop):
            count = span.stop - span.start
            self._rows.array[span] = rows[done : done + count].view(self._opaque)
            self._flags.array[span] = flags[done : done + count]
            done += count
        shown = (flags & self._hidden) == 0 if self._hidden else slice(None)
        self.tail = stop  # before they are indexed: the index uses the slots of rows again that are not held
        self._index.add(rows["key"][shown].copy(), np.arange(first, stop)[shown] & self._mask)

    def take(self, positions: Places) -> NDArray[np.void]:
        """A copy of those rows."""
        return np.take(self._table, positions & self._mask)  # indexing takes ten times as long

    def flags_at(self, positions: Places) -> NDArray[np.uint8]:
        """A copy of the flags of those rows."""
        flags: NDArray[np.uint8] = self._flags.array[positions & self._mask]
        return flags

    def flag(self, positions: Places, bits: int) -> None:
        """Set bits of those rows."""
        self._flags.array[positions & self._mask] |= np.uint8(bits)

    def column(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """A copy of one field of the rows from one position up to another; Any: of its type."""
        return np.concatenate([self._table[name][span] for span in self._rows.spans(start, stop)])

    def flags(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Their flags, a copy."""
        return np.concatenate([self._flags.array[span] for span in self._flags.spans(start, stop)])

    def due(self, before: float, keep: int, at_most: int) -> int:
        """The position up to which rows must leave: those that came until `before`, and the oldest beyond `keep`.

        In the order of arrival: a row that came while the clock was ahead holds up those behind it.
        """
        old, step = self.head, 1
        while step and old < min(self.head + at_most, self.tail):  # a first look at few rows, since mostly none is old
            stop = min(old + step, self.head + at_most, self.tail)
            is_old = self.column("since", old, stop) <= before
            step = 2 * _AT_ONCE if is_old.all() else 0
            old = stop if step else old + int(np.argmin(is_old))
        return max(old, self.head + min(len(self) - keep, at_most))

    def drop(self, head: int) -> None:
        """Let go of all rows before this position."""
        self._rows.give_back(self.head, head)
        self._flags.give_back(self.head, head)
        self.head = head

    def _is_live(self, places: Places) -> NDArray[np.bool_]:
        live: NDArray[np.bool_] = ((places - self.head) & self._mask) < len(self)
        if self._hidden:
            live &= (self._flags.array[places] & self._hidden) == 0
        return live
