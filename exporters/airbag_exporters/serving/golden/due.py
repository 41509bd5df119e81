"""When a version is to be asked next."""

from __future__ import annotations

import math
from dataclasses import dataclass

EAGER = 5.0
"""Seconds between two askings while it matters: no verdict of the receiver rests on an answer older than 15 s."""
YOUNG = 60.0
"""Seconds for which the version that answers by default counts as new in its place."""


@dataclass(frozen=True)
class Standing:
    """Where a version stands, times from a monotonic clock. `default_since` is None while others answer by default."""

    default_since: float | None = None
    asked_at: float | None = None
    wrong: bool = False
    unanswered: bool = False


def due_at(standing: Standing, interval: float, now: float) -> float:
    """At once when nobody asked it yet or since it took over, every EAGER seconds while it is new there or in trouble.

    A wrong version that others shield from requests is left to its interval: each asking blurs which version answered.
    """
    asked, default = standing.asked_at, standing.default_since
    if asked is None or (default is not None and default > asked):
        return -math.inf
    is_eager = standing.unanswered or (default is not None and (standing.wrong or now - default < YOUNG))
    return asked + (min(interval, EAGER) if is_eager else interval)
