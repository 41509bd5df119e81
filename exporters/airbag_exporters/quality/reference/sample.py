"""A random sample of a column that is read once, in pieces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import Floats, Keys

SAMPLE_ROWS = 200_000
"""Of each column; for more than a hundred columns less, so that all together are SAMPLE_VALUES."""
SAMPLE_VALUES = 20_000_000

_SEED = 0x5EED_A1B6


def sample_rows(columns: int) -> int:
    """How many rows of each column are kept."""
    return min(SAMPLE_ROWS, SAMPLE_VALUES // max(columns, 1))


def row_keys(first: int, rows: int) -> Keys:
    """A key for each of the rows from number `first` on, all different and as good as random (SplitMix64).

    They follow from the row's number alone, so that the sample does not depend on how the data is cut into pieces.
    """
    mixed: Keys = (np.arange(first, first + rows, dtype=np.uint64) + np.uint64(_SEED)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


class Sample:
    """The finite values with the `size` smallest keys: all while there are no more, then a uniform sample of them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: list[Floats] = []
        self._keys: list[Keys] = []
        self._held = 0
        self._limit = np.iinfo(np.uint64).max
        self.seen = 0

    def add(self, values: Floats, keys: Keys) -> None:
        """Some more rows."""
        finite = np.isfinite(values)
        self.seen += int(np.count_nonzero(finite))
        chosen: NDArray[np.bool_] = finite & (keys <= self._limit)
        self._values.append(values[chosen] + 0.0)  # -0.0 becomes 0.0
        self._keys.append(keys[chosen])
        self._held += len(self._values[-1])
        if self._held >= 1.25 * self._size:
            self._shrink()

    def values(self) -> Floats:
        """What was chosen, ascending."""
        self._shrink()
        return np.sort(np.concatenate([*self._values, np.empty(0)]))

    def _shrink(self) -> None:
        if self._held <= self._size:
            return
        values, keys = np.concatenate(self._values), np.concatenate(self._keys)
        chosen = np.argpartition(keys, self._size - 1)[: self._size]
        self._values, self._keys, self._held = [values[chosen]], [keys[chosen]], self._size
        self._limit = self._keys[0].max()
