"""When to poll: once a second, and just before Prometheus asks, so that a scrape shows what has just been seen.

Prometheus scrapes a target at a phase of its own that stays the same as long as the target's labels do. A poll at a
phase of its own is on average half a second old by then, and up to a whole one; a verdict comes later by as much.
"""

from __future__ import annotations

INTERVAL = 1.0
STEP_MAX = 0.1
"""Seconds by which one interval may differ from the others while the phase changes."""

SAME_PHASE = 0.15
FORGOTTEN_AFTER = 20.0
LEAD_MIN, LEAD_MAX = 0.1, 0.5


class Rhythm:
    """Ticks of one poller. Times are seconds of the monotonic clock; `scraped` may be called from any thread.

    Of several who scrape, the one that was there first sets the phase for as long as it comes.
    """

    def __init__(self) -> None:
        self._scraped_at: float | None = None
        self._lead = LEAD_MIN

    def scraped(self, at: float) -> None:
        """Somebody has just read the page."""
        known = self._scraped_at
        if known is None or at - known > FORGOTTEN_AFTER or abs(_off(at, known)) <= SAME_PHASE:
            self._scraped_at = at

    def next(self, last: float, now: float) -> float:
        """When to poll after the poll that was due at `last` and ended at `now`.

        Ticks that were missed are left out, not made up for. Polls that take longer begin earlier.
        """
        self._lead = max(min(LEAD_MAX, LEAD_MIN + 2 * (now - last)), 0.9 * self._lead)
        tick = last + (int(max(0.0, now - last) / INTERVAL) + 1) * INTERVAL
        if self._scraped_at is None:
            return tick
        step = _off(self._scraped_at - self._lead, tick)
        return max(now, tick + max(-STEP_MAX, min(STEP_MAX, step)))


def _off(at: float, other: float) -> float:
    """By how much the phase of `at` is ahead of that of `other`, from -0.5 to 0.5 s."""
    return (at - other + INTERVAL / 2) % INTERVAL - INTERVAL / 2
