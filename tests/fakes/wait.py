"""Wait for a state with a deadline, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(
    look: Callable[[], T | None], *, timeout: float = 10.0, what: str = "the condition", every: float | None = None
) -> T:
    """Call `look` until it returns something true and return that.

    Without `every` (seconds) it looks less often the longer it takes, as a look may keep a process from its work.
    After `timeout` seconds: AssertionError naming `what`. An exception from `look` counts as "not yet" and is shown
    when the time is up.
    """
    begun = now = time.monotonic()
    last: object = None
    while now < begun + timeout:
        try:
            found = look()
        except Exception as error:  # noqa: BLE001 - anything `look` raises means "not yet"
            last = error
        else:
            if found:
                return found
            last = found
        time.sleep(every or min(0.1, 0.01 + (now - begun) / 20))
        now = time.monotonic()
    raise AssertionError(f"{what} did not come true within {timeout:g} s; last seen: {last!r}")
