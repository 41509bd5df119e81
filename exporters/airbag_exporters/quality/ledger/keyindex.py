"""Where each of millions of keys stands: a hash table in numpy that is asked and filled by whole batches.

Open addressing with triangular steps. A slot is a byte of the key's hash and a place; most misses end at the bytes,
which are few and near. Nothing is ever taken out: a slot whose place holds another key by now is passed by, one whose
place is gone is used again by a key with the same byte (as the same id has that comes again and again), and `clear`
starts the table anew when it is crowded.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import Keys

Places = NDArray[np.int64]
_FULL = 0.6
_SLOTS_MIN = 1 << 12


class KeyIndex:
    """Places by key. `keys` has the key of each place, `is_live(places)` says which of them hold a row now.

    The table is mixed with a number of this process, so that nobody can send ids that all fall into one slot.
    """

    def __init__(self, keys: Keys, is_live: Callable[[Places], NDArray[np.bool_]]) -> None:
        self._keys, self._is_live = keys, is_live
        self._factor = np.uint64(secrets.randbits(64) | 1)
        self.clear(0)

    def clear(self, expected: int) -> None:
        """Forget all, and make room for `expected` keys and at least half as many more before it is crowded.

        MemoryError leaves it as it was.
        """
        bits = max(_SLOTS_MIN, int(expected * 5)).bit_length()
        self._tags, self._places = np.zeros(1 << bits, np.uint8), np.empty(1 << bits, np.uint32)
        self._slot_shift, self._tag_shift = np.uint64(64 - bits), np.uint64(64 - bits - 8)
        self._mask = (1 << bits) - 1
        self._used = 0

    def is_crowded_by(self, more: int) -> bool:
        """Whether `add` of so many keys must be preceded by `clear`, and by an `add` of all that still counts."""
        return self._used + more > _FULL * (self._mask + 1)

    def find(self, keys: Keys) -> Places:
        """(n,) the place of each key, -1 where it has none."""
        found = np.full(len(keys), -1, np.int64)
        slots, tags = self._hashed(keys)
        rows = np.arange(len(keys))
        step = 0
        while len(rows):
            seen = self._tags[slots]
            hits = np.flatnonzero(seen == tags)
            if len(hits):
                places = self._places[slots[hits]].astype(np.int64)
                right = (self._keys[places] == keys[rows[hits]]) & self._is_live(places)
                found[rows[hits[right]]] = places[right]
                seen[hits[right]] = 0  # no further
            further = np.flatnonzero(seen)
            step += 1
            rows, slots, tags = rows[further], (slots[further] + step) & self._mask, tags[further]
        return found

    def add(self, keys: Keys, places: Places) -> None:
        """Note where keys stand that are not here yet. Each once, and only where `is_crowded_by` says no."""
        slots, tags = self._hashed(keys)
        here = places.astype(np.uint32)
        step = 0
        while len(slots):
            seen = self._tags[slots]
            taken = seen != 0
            same = np.flatnonzero(seen == tags)
            if len(same):
                taken[same] = self._is_live(self._places[slots[same]].astype(np.int64))
            free = np.flatnonzero(~taken)
            wanted = slots[free]
            self._places[wanted] = here[free]  # where two want one slot, the last one has it
            won = self._places[wanted] == here[free]
            self._used += int(np.count_nonzero(seen[free[won]] == 0))
            self._tags[wanted[won]] = tags[free[won]]
            taken[free[~won]] = True
            further = np.flatnonzero(taken)
            step += 1
            slots, tags, here = (slots[further] + step) & self._mask, tags[further], here[further]

    def _hashed(self, keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        mixed = keys * self._factor
        tags = (mixed >> self._tag_shift).astype(np.uint8)
        return (mixed >> self._slot_shift).astype(np.int64), np.maximum(tags, 1)  # 0 is an empty slot
