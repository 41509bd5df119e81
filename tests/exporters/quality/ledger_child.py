"""A process that keeps a ledger busy, to be killed: `python ledger_child.py NAME REPLICA [STEPS]`.

NAME is a folder (SQLite) or the address of a Redis. Each step is one batch of predictions, labels for older ones, and
what expires, with counters that tell of it; a step that was acknowledged is written to standard output.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.config import RedisLedger
from airbag_exporters.quality.ledger.redis import redis_ledger
from airbag_exporters.quality.ledger.sqlite import sqlite_ledger
from airbag_exporters.quality.ledger.values import Change, Ledger, LedgerUnavailable, Limits, State
from tests.exporters.quality.ledger_kinds import waiting
from tests.fakes.clock import SetClock

ROWS, OLD = 60, 25  # predictions a step; steps until they expire
LIMITS = Limits(pending_max=1_000_000, label_ttl=float(OLD), early_label_ttl=1.0)
NOTHING = {"steps": 0, "predicted": 0, "labelled": 0, "expired": 0}


def open_it(name: str, replica: str, clock: SetClock) -> Ledger:
    if name.startswith("redis://"):
        return redis_ledger(RedisLedger(url=name), replica, LIMITS, clock)
    return sqlite_ledger(Path(name), LIMITS, clock)


def keys_of(step: int) -> NDArray[np.uint64]:
    return np.arange(step * ROWS, (step + 1) * ROWS, dtype=np.uint64)


def counted(blocks: Mapping[str, bytes]) -> dict[str, int]:
    return json.loads(blocks["counts"]) if "counts" in blocks else dict(NOTHING)


def as_blocks(counts: dict[str, int]) -> dict[str, bytes]:
    return {"counts": json.dumps(counts).encode()}


class Worker:
    """Makes step after step; `counts` change with what was committed, as the exporter's counters do."""

    def __init__(self, ledger: Ledger, clock: SetClock) -> None:
        self._ledger, self._clock = ledger, clock
        self.counts = counted(ledger.load().blocks)

    def work(self) -> None:
        step = self.counts["steps"]
        self._clock.time = float(step)
        keys = keys_of(step)
        assert not self._ledger.look(keys).states.any(), "a step was seen before it was made"
        older = np.concatenate([keys[:0], *(keys_of(step - back)[::back] for back in (3, 7) if step >= back)])
        looked = self._ledger.look(older)
        due = looked.rows[looked.states == State.PENDING]
        counts = self._with(steps=1, predicted=len(keys), labelled=len(due))
        self._ledger.commit(Change(new=waiting(keys.tolist(), float(step)), done=due, blocks=as_blocks(counts)))
        self.counts = counts
        while expired := self._ledger.expire(self._clock.time):
            counts = self._with(expired=sum(expired.predictions.values()))
            self._ledger.forget(expired, as_blocks(counts))
            self.counts = counts

    def _with(self, **more: int) -> dict[str, int]:
        return self.counts | {name: self.counts[name] + count for name, count in more.items()}


def main(name: str, replica: str, steps: int) -> None:
    clock = SetClock(0.0)
    worker = Worker(open_it(name, replica, clock), clock)
    print("begins", worker.counts["steps"], flush=True)
    for _ in range(steps):
        try:
            worker.work()
        except LedgerUnavailable as error:
            print("failed", type(error).__name__, flush=True)
            return
        print("done", worker.counts["steps"], flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1_000_000)
