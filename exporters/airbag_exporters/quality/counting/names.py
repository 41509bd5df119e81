"""Bounded sets of names: those that are known, and `other` for all the rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import OTHER, Coded

Places = NDArray[np.intp]


class Names:
    """`all` are the known names and `other`, each once, also where a class of a model is itself called `other`."""

    def __init__(self, known: Sequence[str]) -> None:
        self.all = tuple(dict.fromkeys((*known, OTHER)))
        self.other = self.all.index(OTHER)
        self._places = {name: place for place, name in enumerate(self.all)}
        self._folded = np.array([self._places[name] for name in (*known, OTHER)], np.intp)

    def __len__(self) -> int:
        return len(self.all)

    def of(self, column: Coded | None, rows: int) -> Places:
        """(rows,) places in `all`; `other` where a text is unknown or missing."""
        if column is None:
            return np.full(rows, self.other, np.intp)
        return column.looked_up(lambda text: self._places.get(text, self.other), self.other)

    def folded(self, numbers: Places | None, rows: int) -> Places:
        """(rows,) places in `all` of numbers of the known names, the one after the last being `other`."""
        return np.full(rows, self.other, np.intp) if numbers is None else self._folded[numbers]

    def counted(self, column: Coded) -> tuple[NDArray[np.int64], int]:
        """How many rows have each of `all`, and how many have no text."""
        counts = np.bincount(column.codes + 1, minlength=len(column.values) + 1)
        found = np.zeros(len(self), np.int64)
        places = [self._places.get(text, self.other) for text in column.values]
        np.add.at(found, places, counts[1:])
        return found, int(counts[0])
