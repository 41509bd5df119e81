"""The ledgers that one suite of tests is run on, and rows to put into them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.config import RedisLedger
from airbag_exporters.quality.ledger.memory import memory_ledger
from airbag_exporters.quality.ledger.redis import redis_ledger
from airbag_exporters.quality.ledger.sqlite import sqlite_ledger
from airbag_exporters.quality.ledger.values import WAITING, Change, Kept, Ledger, Limits, Looked, State
from tests.fakes.clock import SetClock

_PREFIX = itertools.count()
LIMITS = Limits(pending_max=1000, label_ttl=100.0, early_label_ttl=10.0)


class Bench:
    """A loaded ledger and its clock. `restart` ends it, as a process ends, and opens what it left."""

    def __init__(
        self, open_it: Callable[[Limits, SetClock], Ledger], limits: Limits = LIMITS, is_durable: bool = True
    ) -> None:
        self.is_durable = is_durable
        self._open, self.limits, self.clock = open_it, limits, SetClock()
        self.ledger = open_it(limits, self.clock)
        self.kept: Kept = self.ledger.load()

    def restart(self, limits: Limits | None = None) -> None:
        self.ledger.close()
        self.limits = limits or self.limits
        self.ledger = self._open(self.limits, self.clock)
        self.kept = self.ledger.load()

    def rows(self, *keys: int, owner: int = 7) -> NDArray[np.void]:
        """Predictions made now, each with numbers of its own."""
        return waiting(keys, self.clock.time, owner)

    def predict(self, *keys: int, owner: int = 7, **more: object) -> None:
        """Look, then let these begin to wait."""
        self.look(*keys)
        self.ledger.commit(Change(new=self.rows(*keys, owner=owner), **more))  # type: ignore[arg-type]  # by name

    def label(self, *keys: int, **more: object) -> None:
        """Look, then give these the label that they wait for."""
        self.ledger.commit(Change(done=self.look(*keys).rows, **more))  # type: ignore[arg-type]  # by name

    def look(self, *keys: int) -> Looked:
        return self.ledger.look(np.array(keys, np.uint64))

    def states(self, *keys: int) -> list[State]:
        return [State(state) for state in self.look(*keys).states.tolist()]

    def expire(self) -> tuple[dict[int, int], int]:
        """All that is due now is forgotten; how many predictions of each owner and how many labels that were."""
        predictions: dict[int, int] = {}
        labels = 0
        while expired := self.ledger.expire(self.clock.time):
            for owner, count in expired.predictions.items():
                predictions[owner] = predictions.get(owner, 0) + count
            labels += expired.labels
            self.ledger.forget(expired, {})
        return predictions, labels


def waiting(keys: Sequence[int], since: float, owner: int = 7) -> NDArray[np.void]:
    """Predictions (n,) WAITING with numbers that differ from row to row."""
    rows = np.zeros(len(keys), WAITING)
    rows["key"] = np.array(keys, np.uint64)
    rows["at"] = since - 0.5 - np.arange(len(keys))
    rows["since"], rows["owner"] = since, owner
    rows["predicted"] = rows["key"] * np.uint64(3)
    rows["class"], rows["segments"] = np.arange(len(keys)) - 1, rows["key"] % np.uint64(5)
    rows["score"] = np.where(np.arange(len(keys)) % 2, np.nan, 0.25)
    return rows


def memory_bench(folder: Path, limits: Limits = LIMITS) -> Bench:
    return Bench(memory_ledger, limits, is_durable=False)


def sqlite_bench(folder: Path, limits: Limits = LIMITS) -> Bench:
    return Bench(lambda bounds, clock: sqlite_ledger(folder / "state", bounds, clock), limits)


def redis_bench(url: str, limits: Limits = LIMITS, prefix: str | None = None, replica: str = "a") -> Bench:
    """Each among keys of its own, unless `prefix` says otherwise."""
    config = RedisLedger(url=url, prefix=prefix or f"test-{next(_PREFIX)}")
    return Bench(lambda bounds, clock: redis_ledger(config, replica, bounds, clock), limits)
