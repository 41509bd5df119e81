"""The queue of a process, and the thread that empties it."""

from __future__ import annotations

import http.client
import itertools
import logging
import random
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from airbag_exporters.quality.client.link import Link
from airbag_exporters.quality.client.rows import line

log = logging.getLogger("airbag.quality.client")

PREDICTIONS = "/v1/predictions"
LABELS = "/v1/labels"

_BATCH_BYTES = 1 << 20
_SPLITS = 20  # of one refused batch, to find the rows that it was refused for
_REPORT_SECONDS = 60.0

Drop = Literal["full", "invalid", "refused", "closed", "failed"]


@dataclass(frozen=True)
class Stats:
    """Rows, since the client was made in this process. `queued` ones wait to be sent, or for an answer; `retried` are
    requests that were sent again.

    Why rows were dropped: `full` (the queue), `invalid` (no JSON can be made of it), `refused` (the exporter said no,
    for good), `closed` (there was no time left), `failed` (a defect; the log has it).
    """

    accepted: int = 0
    dropped: Mapping[Drop, int] = field(default_factory=dict)
    retried: int = 0
    queued: int = 0


class Sender:
    """Belongs to one process. The thread starts with the first row."""

    def __init__(
        self, link: Link, queue_rows: int, batch_rows: int, interval: float, backoff: tuple[float, float],
        on_drop: Callable[[Stats], None] | None,
    ) -> None:  # fmt: skip
        self._link = link
        self._queue_rows = queue_rows
        self._batch_rows = batch_rows
        self._interval = interval
        self._backoff = backoff
        self._on_drop = on_drop
        self._told: tuple[float, int] = (-_REPORT_SECONDS, 0)  # when, and how many drops that were
        self._changed = threading.Condition()
        self._queue: deque[tuple[str, bytes]] = deque()
        self._thread: threading.Thread | None = None
        self._until: float | None = None  # set when closing: what is not sent by then is dropped
        self._accepted = self._retried = self._sending = 0
        self._dropped: Counter[Drop] = Counter()
        self._prefix = secrets.token_hex(8)
        self._numbers = itertools.count()

    def new_id(self) -> str:
        """Different at each call and in every process."""
        return f"{self._prefix}-{next(self._numbers):x}"

    def put(self, path: str, row: Mapping[str, object]) -> None:
        """Queue a row, or drop it; neither waits nor raises."""
        ready = line(row)
        with self._changed:
            if ready is None:
                self._dropped["invalid"] += 1
            elif self._until is not None:
                self._dropped["closed"] += 1
            elif len(self._queue) >= self._queue_rows:
                self._dropped["full"] += 1
            else:
                self._queue.append((path, ready))
                if len(self._queue) in (1, self._batch_rows):
                    self._changed.notify_all()
            self._start()

    def stats(self) -> Stats:
        """What became of the rows."""
        with self._changed:
            return Stats(self._accepted, dict(self._dropped), self._retried, len(self._queue) + self._sending)

    def close(self, timeout: float) -> bool:
        """Send what is queued, for at most `timeout` seconds; whether every row was sent or refused by then."""
        with self._changed:
            if self._until is None:
                self._until = time.monotonic() + timeout
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)
        stats = self.stats()
        return not stats.queued and not stats.dropped.get("closed")

    def _start(self) -> None:
        if self._thread is None and self._until is None:
            thread = threading.Thread(target=self._run, name="airbag-quality-client", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads; the next row tries again
                return
            self._thread = thread

    def _run(self) -> None:
        while rows := self._next():
            for path in (PREDICTIONS, LABELS):  # a label never overtakes its prediction
                try:
                    self._deliver(path, [ready for each, ready in rows if each == path])
                except Exception:
                    log.exception("quality events could not be sent")
            self._done("failed", self._sending)  # 0 unless something went wrong
            self._report()
        self._link.close()

    def _next(self) -> list[tuple[str, bytes]]:
        """The next rows, in the order in which they came; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._until is not None)
            self._changed.wait_for(
                lambda: len(self._queue) >= self._batch_rows or self._until is not None, self._interval
            )
            rows: list[tuple[str, bytes]] = []
            size = 0
            while self._queue and len(rows) < self._batch_rows and size < _BATCH_BYTES:
                rows.append(self._queue.popleft())
                size += len(rows[-1][1])
            self._sending = len(rows)
            return rows

    def _deliver(self, path: str, rows: Sequence[bytes]) -> None:
        """Send until it is accepted or refused. A refused batch is halved, so that a bad row spoils no others."""
        parts, splits = [rows] if rows else [], _SPLITS
        while parts:
            part = parts.pop()
            refusal = self._post(path, part)
            if refusal is None:
                continue
            if len(part) > 1 and splits and refusal in (400, 413, 422):
                splits -= 1
                half = len(part) // 2
                parts += [part[half:], part[:half]]
            else:
                self._done("refused", len(part))

    def _post(self, path: str, rows: Sequence[bytes]) -> int | None:
        """Send until there is an answer that lasts: the status of a refusal, None when that is all there is to do."""
        body, wait = b"".join(rows), self._backoff[0]
        while not self._is_late():
            try:
                answer = self._link.post(path, body)
            except (OSError, http.client.HTTPException) as error:
                asked_for, problem = 0.0, str(error) or type(error).__name__
            else:
                if answer.accepted:
                    self._done(None, len(rows))
                    return None
                if not answer.later:
                    log.debug("quality events refused", extra={"status": answer.status, "answer": answer.text})
                    return answer.status
                asked_for, problem = answer.wait, answer.text
            log.debug("quality events are sent again later", extra={"reason": problem})
            if not self._wait(asked_for + wait * random.uniform(0.5, 1.0)):  # noqa: S311 - spreads clients, no secret
                break
            wait = min(2 * wait, self._backoff[1])
        self._done("closed", len(rows))
        return None

    def _wait(self, seconds: float) -> bool:
        """Wait before another try; False when there is no time left for one. Closing ends a wait that has begun."""
        self._report()
        with self._changed:
            if self._until is None:
                self._changed.wait_for(lambda: self._until is not None, seconds)
            elif time.monotonic() + seconds < self._until:
                self._changed.wait(seconds)
            else:
                return False
            self._retried += 1
            return True

    def _is_late(self) -> bool:
        with self._changed:
            return self._until is not None and time.monotonic() > self._until

    def _done(self, drop: Drop | None, rows: int) -> None:
        with self._changed:
            self._sending -= rows
            if drop is None:
                self._accepted += rows
            elif rows:
                self._dropped[drop] += rows

    def _report(self) -> None:
        """Tell of drops, of all since the last time at once."""
        stats = self.stats()
        now, drops = time.monotonic(), sum(stats.dropped.values())
        if drops == self._told[1] or now < self._told[0] + _REPORT_SECONDS:
            return
        self._told = (now, drops)
        log.warning("quality events dropped", extra={"dropped": stats.dropped, "queued": stats.queued})
        if self._on_drop:
            try:
                self._on_drop(stats)
            except Exception:
                log.exception("the function that hears of dropped quality events failed")
