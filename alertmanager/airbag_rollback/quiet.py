"""What the receiver does when nothing is under way: it looks at the clock on the wall, and forgets what is old."""

from __future__ import annotations

import time
from collections.abc import Callable

from airbag_rollback.journal.retention import Retention
from airbag_rollback.policy import Keep

_EVERY = 60.0


class SteadyClock:
    """The time of day that no jump of the machine's clock moves while an action is under way.

    Deadlines lie in the journal as seconds since the epoch, since they outlive the process. A clock that is set forward
    would end an action at once, one that is set back would let it hang. So the time of day is taken from the wall only
    by `follow`, and goes on from there at the pace of the monotonic clock.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self.follow()

    def follow(self) -> None:
        """Take the time from the wall."""
        self._apart = self._wall() - self._monotonic()

    def now(self) -> float:
        return self._monotonic() + self._apart

    def monotonic(self) -> float:
        return self._monotonic()

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)


class Quiet:
    """Called by the worker in every turn that finds nothing to do. Takes milliseconds."""

    def __init__(
        self, now: Callable[[], float], keep: Callable[[], Keep], retention: Retention,
        follow: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._now = now
        self._keep = keep
        self._retention = retention
        self._follow = follow
        self._next = 0.0

    def __call__(self) -> None:
        self._follow()
        now, keep = self._now(), self._keep()
        if self._next - _EVERY <= now < self._next:
            return
        more = self._retention.forget(now, keep.deliveries, keep.actions)
        self._next = now if more else now + _EVERY
