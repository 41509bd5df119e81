"""What follows from a batch, as it gathers part by part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import Keys, Owner
from airbag_exporters.quality.ledger.values import WAITING, Change


class Gathered:
    """The parts of a Change as they gather."""

    def __init__(self) -> None:
        self.new: list[NDArray[np.void]] = []
        self.done: list[NDArray[np.void]] = []
        self.extras: dict[int, bytes] = {}
        self.early: dict[int, bytes] = {}
        self.owners: dict[int, Owner] = {}

    def whole(self, cursors: Mapping[str, str]) -> Change:
        new, done = _together(self.new), _together(self.done)
        return Change(new, self.extras, done, self.early, self.owners, {}, cursors)


def _together(parts: Sequence[NDArray[np.void]]) -> NDArray[np.void]:
    """As bytes, which numpy copies several times as fast as field by field."""
    if len(parts) == 1:
        return parts[0]
    opaque = np.dtype((np.void, WAITING.itemsize))
    whole: NDArray[np.void] = np.concatenate([np.empty(0, opaque), *(part.view(opaque) for part in parts)])
    return whole.view(WAITING)


def by_row(known: Mapping[int, bytes], places: NDArray[np.intp]) -> dict[int, bytes]:
    """What stands at these places, by their order."""
    return {row: known[place] for row, place in enumerate(places.tolist()) if place in known} if known else {}


def firsts_of(keys: Keys) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The places (m,) where a key stands for the first time, in order, and how often each is repeated."""
    ordered = np.sort(keys)  # many times as fast as the sort by which `unique` finds places
    if not (ordered[1:] == ordered[:-1]).any():
        return np.arange(len(keys)), np.zeros(len(keys), np.intp)
    _, firsts, counts = np.unique(keys, return_index=True, return_counts=True)
    order = np.argsort(firsts)
    return firsts[order], counts[order] - 1
