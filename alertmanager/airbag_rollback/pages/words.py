"""Times, durations and numbers as people read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime


def moment(at: float) -> str:
    """A time to the second, in UTC: people in several zones read the same page."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(at: float) -> str:
    """The time of day to the millisecond, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-3]


def short(at: float) -> str:
    """The time of day to the second, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S UTC")


def machine(at: float) -> str:
    """The same for a `datetime` attribute."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def duration(seconds: float) -> str:
    """Two units at most. A clock that was set back must not show as a negative time."""
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, below_size, below in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // below_size
            return f"{whole // size} {unit}" + (f" {rest} {below}" if rest else "")
    return f"{whole} s"


def number(value: float | None) -> str:
    """Four digits; a dash for nothing, which is not 0."""
    return "–" if value is None else f"{value:.4g}"  # noqa: RUF001 - a dash for the eye


def versions(found: Iterable[int]) -> str:
    """A list of versions, or the word nothing."""
    return ", ".join(str(version) for version in sorted(found)) or "nothing"


def state(name: str) -> str:
    """A state as words."""
    return name.replace("_", " ").lower()


FILTERS: Mapping[str, Callable[..., str]] = {
    each.__name__: each for each in (moment, clock, short, machine, duration, number, versions, state)
}
"""For templates, by their names."""
