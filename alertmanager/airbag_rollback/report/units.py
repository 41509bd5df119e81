"""Numbers with their units, and what the number of each alert is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from airbag_rollback.pages.words import duration


class Unit(StrEnum):
    """What a number counts."""

    SHARE = "share"
    SECONDS = "seconds"
    PER_SECOND = "per second"
    COUNT = "count"


def shown(value: float | None, unit: Unit) -> str:
    """The number as people read it; a missing one is said, as it is no 0."""
    if value is None:
        return "not measured"
    if unit is Unit.SHARE:
        return f"{100 * value:.3g} %"
    if unit is Unit.SECONDS:
        return f"{1000 * value:.3g} ms" if value < 1 else f"{value:.3g} s"
    return f"{value:.4g} /s" if unit is Unit.PER_SECOND else f"{value:.4g}"


def since(seconds: float) -> str:
    """How long after the first bad sign, or before it."""
    sign = "+" if seconds >= 0 else "\N{MINUS SIGN}"
    size = abs(seconds)
    return f"{sign}{size:.1f} s" if 0 < size < 60 and size != round(size) else f"{sign}{whole(size)}"


def whole(size: float) -> str:
    """A duration without tenths."""
    return f"{size:.0f} s" if size < 120 else duration(size)


@dataclass(frozen=True)
class Spoken:
    """An alert's measurement in words: `says` takes the value, `allows` the threshold, both with their unit."""

    unit: Unit
    says: str
    allows: str
    samples: str = ""


SPOKEN: Mapping[str, Spoken] = {
    "AirbagErrorRatioHigh": Spoken(Unit.SHARE, "at least {} of its requests failed", "{} may fail", "requests"),
    "AirbagLatencyHigh": Spoken(Unit.SHARE, "at least {} of its answers were slow", "{} may be", "answers"),
    "AirbagAccuracyLow": Spoken(
        Unit.SHARE, "at most {} of its labelled answers were right", "at least {} have to be", "labels"
    ),
    "AirbagAccuracyDropped": Spoken(
        Unit.SHARE, "its accuracy was at least {} below that of the version before", "{} are allowed", "labels"
    ),
    "AirbagProbeFailed": Spoken(Unit.COUNT, "{} golden requests were answered wrong", "{} may be"),
    "AirbagVersionLoadFailed": Spoken(Unit.COUNT, "{} servers could not load it", "{} may fail"),
}  # fmt: skip
"""What chance explains is taken off already, as the alerts do: hence `at least` and `at most`."""
