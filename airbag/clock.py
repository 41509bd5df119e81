"""Time as an argument, so that decisions can be tested without waiting."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where a component reads the time and waits."""

    def now(self) -> float:
        """Seconds since the epoch, UTC: for records and for comparing with other machines."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never go back: for durations and deadlines."""

    def sleep(self, seconds: float) -> None:
        """Wait `seconds`; 0 or less returns at once."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)
