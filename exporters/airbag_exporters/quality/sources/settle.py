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
from airbag_exporters.quality.media import NDJSON
from airbag_exporters.quality.sources.taker import Taker
from airbag_exporters.quality.sources.told import Told

LONGEST_PAUSE = 5.0
_FIRST_PAUSE = 0.1


class Stopped(Exception):
    """The process ends; what was not committed is for the next one."""


@dataclass(frozen=True)
class Batch:
    """Lines of NDJSON, and what follows from settling them.

    `lines` are those of the body that are not blank; asked for when it is refused. `cursors(n)` say that the first n of
    these are done, or all for None; they are committed together with them. `settled(n)` is told once they are. `reject`
    is told the place of a line that is refused, and why, before any cursor beyond it is committed.
    """

    body: bytes
    lines: Callable[[], Sequence[bytes]]
    cursors: Callable[[int | None], Mapping[str, str]]
    settled: Callable[[int | None], None]
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
        try:
            self._take(kind, batch.body, batch.cursors(None))
        except BadBatch as error:
            self._told.refused()
            lines = batch.lines()
            self._divide(kind, batch, lines, (0, len(lines)), str(error))
        else:
            batch.settled(None)

    def remember(self, kind: Kind, cursors: Mapping[str, str]) -> None:
        """Commit cursors without any line. Raises Stopped."""
        self._take(kind, b"", cursors)

    def _divide(self, kind: Kind, batch: Batch, lines: Sequence[bytes], span: tuple[int, int], why: str) -> None:
        """Settle lines that were refused together, in their order: by halves, until a bad one stands alone."""
        begin, end = span
        if end - begin > 1:
            middle = (begin + end) // 2
            for part in ((begin, middle), (middle, end)):
                self._part(kind, batch, lines, part)
            return
        if end > begin:
            batch.reject(begin, why)
        if end == len(lines):  # nothing follows that would bring the cursor
            self.remember(kind, batch.cursors(None))
            batch.settled(None)

    def _part(self, kind: Kind, batch: Batch, lines: Sequence[bytes], span: tuple[int, int]) -> None:
        begin, end = span
        done = None if end == len(lines) else end
        try:
            self._take(kind, b"".join(line + b"\n" for line in lines[begin:end]), batch.cursors(done))
        except BadBatch as error:
            self._divide(kind, batch, lines, span, str(error))
        else:
            batch.settled(done)

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
