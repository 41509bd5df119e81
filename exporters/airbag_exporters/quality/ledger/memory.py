"""A ledger that a restart forgets."""

from __future__ import annotations

from collections.abc import Mapping

from airbag.clock import Clock
from airbag_exporters.quality.ledger.keyindex import Places
from airbag_exporters.quality.ledger.local import Entry, LocalLedger, Memory
from airbag_exporters.quality.ledger.values import Kept, Limits


class _Nowhere:
    """A Store that holds only the bytes that have no place in the index."""

    def __init__(self) -> None:
        self._extras: dict[int, bytes] = {}
        self._early: dict[int, bytes] = {}

    def load(self, limits: Limits) -> tuple[Memory, Kept]:
        return Memory(limits), Kept()

    def write(self, entry: Entry) -> None:
        self._extras.update(entry.extras)
        self._early.update(entry.early_data)
        for position in entry.spent.tolist():
            del self._extras[position]
        for position in entry.matched.tolist():
            del self._early[position]

    def forget(self, head: int, early_head: int, blocks: Mapping[str, bytes]) -> None:
        del blocks
        _drop(self._extras, head)
        _drop(self._early, early_head)

    def extras(self, positions: Places) -> dict[int, bytes]:
        return {position: self._extras[position] for position in positions.tolist()}

    def early_data(self, positions: Places) -> dict[int, bytes]:
        return {position: self._early[position] for position in positions.tolist()}

    def close(self) -> None:
        pass


def _drop(data: dict[int, bytes], head: int) -> None:
    """Remove what lies before `head`; positions were added in rising order."""
    while data and (first := next(iter(data))) < head:
        del data[first]


def memory_ledger(limits: Limits, clock: Clock) -> LocalLedger:
    """An empty one."""
    return LocalLedger(_Nowhere(), limits, clock)
