"""How long a share takes to cross its threshold once part of the answers is bad."""

from __future__ import annotations

import math

from airbag.chain.facts import Judged
from airbag.serving.groups import Expectations

_STEPS = 1000


def seconds_to_cross(judged: Judged, expect: Expectations, bad: float, window: float, traffic: float) -> float:
    """Seconds of steady `traffic` a second until a window shows the fault, when a share `bad` of it is bad.

    Before the fault the window was full and without fault; a bad version's own window is empty at first and shows the
    fault sooner. Infinite when it never crosses: the fault is smaller than the threshold, or the samples are too few.
    """
    samples = traffic * window
    if samples <= 0:
        return math.inf
    enough = getattr(expect, judged.samples_min) / traffic if judged.samples_min else 0.0
    if enough > window:
        return math.inf
    for step in range(1, _STEPS + 1):
        filled = step / _STEPS
        if _is_over(judged, expect, bad * filled, samples):
            return max(filled * window, enough)
    return math.inf


def _is_over(judged: Judged, expect: Expectations, share: float, samples: float) -> bool:
    """Whether that share of bad answers is beyond the threshold, by more than `errors` standard errors."""
    doubt = judged.errors * math.sqrt(share * (1 - share) / samples)
    if judged.share_max:
        return share - doubt > float(getattr(expect, judged.share_max))
    least = getattr(expect, judged.share_min)
    return least is not None and 1 - share + doubt < float(least)


def least_traffic(judged: Judged, expect: Expectations, window: float) -> float:
    """Answers a second below which there is no verdict at all."""
    return float(getattr(expect, judged.samples_min)) / window if judged.samples_min else 0.0
