"""Wait for a state with a deadline, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(
    look: Callable[[], T | None], *, timeout: float = 10.0, what: str = "the condition", every: float = 0.02
) -> T:
    """Call `look` until it returns something true and return that.

    After `timeout` seconds: AssertionError naming `what`. An exception from `look` counts as "not yet" and is shown
    when the time is up.
    """
    deadline = time.monotonic() + timeout
    last: object = None
    while time.monotonic() < deadline:
        try:
            found = look()
        except Exception as error:  # noqa: BLE001 - anything `look` raises means "not yet"
            last = error
        else:
            if found:
                return found
            last = found
        time.sleep(every)
    raise AssertionError(f"{what} did not come true within {timeout:g} s; last seen: {last!r}")
