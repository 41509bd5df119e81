"""How much may come in: bytes at the same time, and events in the long run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airbag.clock import Clock

BURST_SECONDS = 1.0
"""What may come at once beyond the rate, as seconds of that rate."""


class Full(Exception):
    """The bytes asked for would go beyond the bound."""


class InFlight:
    """The bytes of all bodies that are being received, decompressed or counted. For one thread, the event loop's."""

    def __init__(self, told: Callable[[float], None]) -> None:
        self.held = 0
        self._told = told

    @contextmanager
    def hold(self) -> Iterator[Hold]:
        """A reservation of 0 bytes, let go at the end of the block."""
        hold = Hold(self)
        try:
            yield hold
        finally:
            hold.shrink(0)

    def change(self, by: int) -> None:
        """Count that many more bytes."""
        self.held += by
        self._told(self.held)


class Hold:
    """What one request holds of InFlight."""

    def __init__(self, all_of_them: InFlight) -> None:
        self.size = 0
        self._all = all_of_them

    def grow(self, size: int, bound: int) -> None:
        """Hold `size` bytes from now on. Raises Full where that is more than before and beyond the bound for all."""
        if size > self.size and self._all.held - self.size + size > bound:
            raise Full
        self.shrink(size)

    def shrink(self, size: int) -> None:
        """Hold `size` bytes from now on, without asking."""
        self._all.change(size - self.size)
        self.size = size


class Pace:
    """Events in the long run: a bucket that is filled at a rate, and that a large batch may leave in debt.

    How many events a batch holds is known once it was decoded, so whoever comes next waits for the debt.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._paid_until = clock.monotonic()

    def wait(self) -> float:
        """Seconds until the next batch may come; 0 when it may come now."""
        return max(0.0, self._paid_until - self._clock.monotonic() - BURST_SECONDS)

    def charge(self, events: int, per_second: float) -> None:
        """Account for events that were taken."""
        self._paid_until = max(self._paid_until, self._clock.monotonic()) + events / per_second
