"""Durations as Prometheus and Alertmanager write them."""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import BeforeValidator

_UNITS = {"y": 31_536_000.0, "w": 604_800.0, "d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_FORM = re.compile("".join(rf"(?:(\d{{1,12}}){unit})?" for unit in _UNITS))


def parse(text: object) -> float:
    """Seconds of "15s", "1h30m" or "0", units from the largest to the smallest; ValueError for anything else."""
    if text in (0, "0"):
        return 0.0
    found = _FORM.fullmatch(text) if isinstance(text, str) and text else None
    if not found:
        raise ValueError('not a duration of Prometheus; write it such as "15s", "5m" or "1h30m"')
    return sum(int(number) * size for number, size in zip(found.groups("0"), _UNITS.values(), strict=True))


def shown(seconds: float) -> str:
    """Seconds for people: "0.75 s", "4 h"."""
    if math.isinf(seconds):
        return "for ever"
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def ticks(seconds: float, every: float) -> float:
    """The first multiple of `every` that is not before `seconds`."""
    return math.ceil(round(seconds / every, 6)) * every if every else seconds


PromDuration = Annotated[float, BeforeValidator(parse)]
"""Seconds, written as "15s" in the file."""
