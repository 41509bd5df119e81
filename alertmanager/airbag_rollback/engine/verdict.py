"""Is a version bad? Four answers, of which only one may act."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

MAX_AGE = 15.0
"""Seconds after which a value says nothing about now."""


class Verdict(StrEnum):
    """What a measurement says."""

    BAD = "bad"
    GOOD = "good"
    NO_DATA = "no data"
    NOT_ENOUGH_DATA = "not enough data"


class Bad(StrEnum):
    """On which side of the threshold lies trouble."""

    ABOVE = "above"
    BELOW = "below"


@dataclass(frozen=True)
class Measurement:
    """What Prometheus said of one version. None is "no answer", never 0.

    `age` is in seconds. `counted` is False for signals that rest on a state and not on a number of samples.
    """

    value: float | None = None
    threshold: float | None = None
    samples: float | None = None
    samples_min: float | None = None
    age: float | None = None
    counted: bool = True
    detail: str = ""

    def __str__(self) -> str:
        samples = f", {_text(self.samples)} samples of {_text(self.samples_min)}" if self.counted else ""
        age = f", {_text(self.age)} s old" if self.age is not None else ""
        detail = f" ({self.detail})" if self.detail else ""
        return f"{_text(self.value)} against {_text(self.threshold)}{samples}{age}{detail}"


def judge(measured: Measurement, bad: Bad) -> Verdict:
    """The verdict. A value that is missing, NaN, infinite or old is no data; so is a missing threshold or count."""
    value, threshold, age = _usable(measured.value), _usable(measured.threshold), _usable(measured.age)
    if value is None or threshold is None or age is None or age > MAX_AGE:
        return Verdict.NO_DATA
    if measured.counted:
        samples, samples_min = _usable(measured.samples), _usable(measured.samples_min)
        if samples is None or samples_min is None:
            return Verdict.NO_DATA
        if samples < samples_min:
            return Verdict.NOT_ENOUGH_DATA
    over = value > threshold if bad is Bad.ABOVE else value < threshold
    return Verdict.BAD if over else Verdict.GOOD


def _usable(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


def _text(number: float | None) -> str:
    return "nothing" if number is None else f"{number:.4g}"
