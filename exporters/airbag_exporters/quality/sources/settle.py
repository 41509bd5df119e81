"""Gets a batch of lines counted whatever happens: waits while that is not possible, and sets apart what is refused."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

from airbag.errors import AirbagError
from airbag_exporters.quality.columns import BadBatch
from airbag_exporters.quality.intake.metrics import Reason
from airbag_exporters.quality.intake.taker import Kind
from airbag_exporters.quality.sources.taker import NDJSON, Taker
from airbag_exporters.quality.sources.told import Told

LONGEST_PAUSE = 5.0
_FIRST_PAUSE = 0.1


class Stopped(Exception):
    """The process ends; what was not committed is for the next one."""


@dataclass(frozen=True)
class Batch:
    """Lines, and what follows from settling them.

    `cursors(n)` say that the first n lines are done; they are committed together with these. `settled(n)` is told once
    they are. `reject` is told the place of a line that is refused, and why, before any cursor beyond it is committed.
    """

    lines: Sequence[bytes]
    cursors: Callable[[int], Mapping[str, str]]
    settled: Callable[[int], None]
    reject: Callable[[int, str], None]


class Settler:
    """For one source. `waiting` is called before each further try, `pause` seconds apart at most."""

    def __init__(
        self, taker: Taker, told: Told, stop: threading.Event, waiting: Callable[[], None] = lambda: None,
        pause: float = LONGEST_PAUSE,
    ) -> None:  # fmt: skip
        self._taker = taker
        self._told = told
        self._stop = stop
        self._waiting = waiting
        self._longest_pause = pause

    def settle(self, kind: Kind, batch: Batch) -> None:
        """Return once every line is counted or rejected, and that is committed. Raises Stopped."""
        if not self._part(kind, batch, 0, len(batch.lines)):
            self._told.refused()

    def remember(self, kind: Kind, cursors: Mapping[str, str]) -> None:
        """Commit cursors without any line. Raises Stopped."""
        self._take(kind, b"", cursors)

    def _part(self, kind: Kind, batch: Batch, begin: int, end: int) -> bool:
        """Settle some of the lines in order, in halves where they are refused together. Whether all were taken."""
        try:
            self._take(kind, b"".join(line + b"\n" for line in batch.lines[begin:end]), batch.cursors(end))
        except BadBatch as error:
            if end - begin > 1:
                middle = (begin + end) // 2
                self._part(kind, batch, begin, middle)
                self._part(kind, batch, middle, end)
                return False
            batch.reject(begin, str(error))
            if end == len(batch.lines):  # nothing follows that would bring the cursor
                self.remember(kind, batch.cursors(end))
                batch.settled(end)
            return False
        batch.settled(end)
        return True

    def _take(self, kind: Kind, body: bytes, cursors: Mapping[str, str]) -> None:
        pause = _FIRST_PAUSE
        while True:
            begin = perf_counter()
            try:
                rows = self._taker.take(kind, body, NDJSON, cursors)
            except BadBatch:
                raise
            except AirbagError as error:
                self._told.unavailable(error, Reason.LEDGER)
            except Exception as error:  # noqa: BLE001 - a line is neither lost nor skipped because of a defect of ours
                self._told.unavailable(error, Reason.INTERNAL)
                self._told.warn("counting failed", {}, error=True)
            else:
                if body:
                    self._told.accepted(kind, rows, perf_counter() - begin)
                return
            if self._stop.wait(pause * random.uniform(0.5, 1)):  # noqa: S311 - spreads the load, keeps no secret
                raise Stopped
            self._waiting()
            pause = min(pause * 2, self._longest_pause)
