"""The source `streams`: entries of a Redis stream, shared by the consumers of a group."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from airbag.clock import Clock
from airbag.errors import Unreachable
from airbag_exporters.quality.intake.taker import Kind
from airbag_exporters.quality.sources.entries import Entry, Progress, Unfit, batches, origin, progress_after
from airbag_exporters.quality.sources.group import Delivered, Group
from airbag_exporters.quality.sources.settle import LONGEST_PAUSE, Batch, Settler, Stopped
from airbag_exporters.quality.sources.taker import Taker
from airbag_exporters.quality.sources.told import Told

READ_MAX = 500
"""Entries that are asked for at once."""
WAIT_SECONDS = 0.5
CLAIM_AFTER = 300.0
"""Seconds after which what another consumer did not confirm is taken over from it."""
CLAIM_EVERY = 30.0
DELIVERIES_MAX = 10
"""An entry that was delivered more often is set aside: whoever takes it ends before it is counted."""
_LOOK_EVERY = 5.0
_FIRST_PAUSE = 0.1


class StreamSource:
    """One consumer, on the thread that calls `run`. Entries are confirmed once they are counted and committed."""

    def __init__(
        self, stream: str, name: str, connect: Callable[[], Group], taker: Taker, told: Told, stop: threading.Event,
        clock: Clock, claim_after: float = CLAIM_AFTER,
    ) -> None:  # fmt: skip
        self._stream = stream
        self._cursor = f"stream:{name}"
        self._connect = connect
        self._taker = taker
        self._told = told
        self._stop = stop
        self._clock = clock
        self._claim_after = claim_after
        self._progress = Progress()
        self._held: list[str] = []
        self._next_claim = self._next_look = self._next_hold = 0.0

    def run(self) -> None:
        """Read until `stop` is set; connect again whenever Redis was away."""
        pause = _FIRST_PAUSE
        try:
            self._progress = Progress.parse(self._taker.cursor(self._cursor))
            while not self._stop.is_set():
                before = self._clock.monotonic()
                self._once_connected()
                # Whatever worked for a while is tried again at once.
                pause = _FIRST_PAUSE if self._clock.monotonic() - before > LONGEST_PAUSE else pause * 2
                self._stop.wait(min(pause, LONGEST_PAUSE))
        except Stopped:
            pass

    def _once_connected(self) -> None:
        """Returns when the connection is lost, or when something failed that nobody foresaw."""
        group = None
        try:
            group = self._connect()
            group.create()
            self._settle_own(group)
            while not self._stop.is_set():
                self._turn(group)
        except Stopped:
            raise
        except Unreachable as error:
            self._told.warn("a stream cannot be read", {"reason": str(error)})
        except Exception as error:  # noqa: BLE001 - the thread must live; nothing was confirmed
            self._told.warn("reading a stream failed, it is tried again", {"reason": str(error)}, error=True)
        finally:
            if group is not None:
                group.close()

    def _settle_own(self, group: Group) -> None:
        """What this consumer had when it ended, or when its connection did."""
        after = "0-0"
        while delivered := group.own(after, READ_MAX):
            self._handle(group, delivered, again=True)
            after = delivered[-1][0]

    def _turn(self, group: Group) -> None:
        now = self._clock.monotonic()
        if now >= self._next_claim:
            self._claim(group)
            self._next_claim = now + min(CLAIM_EVERY, self._claim_after)
        if now >= self._next_look:
            self._look(group)
            self._next_look = now + _LOOK_EVERY
        self._handle(group, group.new(READ_MAX, WAIT_SECONDS), again=False)

    def _claim(self, group: Group) -> None:
        start = "0-0"
        while not self._stop.is_set():
            start, delivered = group.claim(self._claim_after, start, READ_MAX)
            self._handle(group, delivered, again=True)
            if start == "0-0":
                return

    def _look(self, group: Group) -> None:
        pending, lag = group.state()
        self._told.metrics.stream_pending.labels(self._stream).set(pending)
        if lag is not None:
            self._told.metrics.stream_lag.labels(self._stream).set(lag)

    def _handle(self, group: Group, delivered: Delivered, *, again: bool) -> None:
        if not delivered:
            return
        done = {*self._progress.done}
        group.confirm([id_ for id_, fields in delivered if id_ in done or fields is None])
        left = [(id_, fields) for id_, fields in delivered if id_ not in done and fields is not None]
        often = group.deliveries([id_ for id_, _ in left]) if again and left else {}
        left.sort(key=lambda each: each[0] != self._progress.current)  # its cursor must not be overtaken
        entries = [entry for id_, fields in left if (entry := self._entry(group, id_, fields, often.get(id_, 1)))]
        self._held = [entry.id for entry in entries]
        for batch in batches(entries):
            self._settle(group, batch)

    def _entry(self, group: Group, id_: str, fields: Mapping[bytes, bytes], times: int) -> Entry | None:
        try:
            return _entry(id_, fields, times, self._progress)
        except Unfit as error:
            given = {name.decode(errors="replace"): value for name, value in fields.items()}
            group.reject({**given, "id": id_, "reason": str(error)}, confirmed=id_)
            self._told.rejected(f"{self._stream}, entry {id_}", str(error))
            return None

    def _settle(self, group: Group, batch: Sequence[Entry]) -> None:
        kind, lines = batch[0].kind, [line for entry in batch for line in entry.lines]
        longest = min(LONGEST_PAUSE, self._claim_after / 4)
        settler = Settler(self._taker, self._told, self._stop, lambda: self._hold(group), longest)
        if lines:
            settler.settle(
                kind,
                Batch(
                    b"".join(line + b"\n" for line in lines),
                    lambda: lines,
                    lambda count: {self._cursor: progress_after(batch, count).text()},
                    lambda count: self._remember(progress_after(batch, count)),
                    lambda line, reason: self._reject(group, kind, origin(batch, line), lines[line], reason),
                ),
            )
        confirmed = [entry.id for entry in batch]
        group.confirm(confirmed)
        self._held = self._held[len(confirmed) :]

    def _remember(self, progress: Progress) -> None:
        self._progress = progress

    def _reject(self, group: Group, kind: Kind, entry: Entry, line: bytes, reason: str) -> None:
        group.reject({"kind": kind, "data": line, "id": entry.id, "reason": reason})
        self._told.rejected(f"{self._stream}, entry {entry.id}", reason)

    def _hold(self, group: Group) -> None:
        """While nothing can be counted, keep others from claiming what this consumer was given."""
        now = self._clock.monotonic()
        if now < self._next_hold:
            return
        self._next_hold = now + self._claim_after / 4
        try:
            group.hold(self._held)
        except Unreachable as error:
            self._told.warn("a stream cannot be read", {"reason": str(error)})


def _entry(id_: str, fields: Mapping[bytes, bytes], times: int, progress: Progress) -> Entry:
    if times > DELIVERIES_MAX:
        raise Unfit(f"was delivered {times} times and never counted")
    return Entry.of(id_, fields, progress)
