"""How long a share takes to cross its threshold once part of the answers is bad."""

from __future__ import annotations

import math
from dataclasses import dataclass

from airbag.chain.facts import Judged
from airbag.serving.groups import Expectations

_STEPS = 1000


@dataclass(frozen=True)
class Look:
    """How a share is looked at: seconds of the window, answers a second, and the standard errors granted to chance."""

    window: float
    traffic: float
    errors: float = 0.0


def seconds_to_cross(judged: Judged, expect: Expectations, bad: float, look: Look) -> float:
    """Seconds of steady traffic until a window shows the fault, when a share `bad` of it is bad.

    Before the fault the window was full and without fault; a bad version's own window is empty at first and shows the
    fault sooner. Infinite when it never crosses: the fault is smaller than the threshold, or the samples are too few.
    """
    samples = look.traffic * look.window
    if samples <= 0:
        return math.inf
    enough = getattr(expect, judged.samples_min) / look.traffic if judged.samples_min else 0.0
    if enough > look.window:
        return math.inf
    for step in range(1, _STEPS + 1):
        filled = step / _STEPS
        if _is_over(judged, expect, bad * filled, look.errors / math.sqrt(samples)):
            return max(filled * look.window, enough)
    return math.inf


def _is_over(judged: Judged, expect: Expectations, share: float, chance: float) -> bool:
    """Whether that share of bad answers is beyond the threshold by more than chance explains."""
    doubt = chance * math.sqrt(share * (1 - share))
    if judged.share_max:
        return share - doubt > float(getattr(expect, judged.share_max))
    least = getattr(expect, judged.share_min)
    return least is not None and 1 - share + doubt < float(least)


def least_traffic(judged: Judged, expect: Expectations, window: float) -> float:
    """Answers a second below which there is no verdict at all."""
    return float(getattr(expect, judged.samples_min)) / window if judged.samples_min else 0.0
