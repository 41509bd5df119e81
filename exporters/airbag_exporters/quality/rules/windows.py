"""How far back the rules look, and how often."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import ConfigDict

from airbag.config import parse_duration

_PROMETHEUS = re.compile(r"[1-9]\d*[smhd]")


@dataclass(frozen=True)
class RuleWindows:
    """The section `quality.rules` of exporters.yml, windows as Prometheus writes them ("15s", "1h").

    A machine acts on `verdict`; people look at `quality` and `drift`. ValueError for a window that Prometheus or the
    names of the records do not take.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    verdict: str = "15s"
    quality: tuple[str, ...] = ("5m", "1h")
    drift: tuple[str, ...] = ("15m",)

    def __post_init__(self) -> None:
        for window in (self.verdict, *self.quality, *self.drift):
            if not _PROMETHEUS.fullmatch(window):
                raise ValueError(f'{window!r} is no window; write a whole number and one unit, such as "15s" or "1h"')
        for name, windows in (("quality", (self.verdict, *self.quality)), ("drift", self.drift)):
            if len(set(map(parse_duration, windows))) < len(windows):
                raise ValueError(f"a window of {name} stands there twice: {', '.join(windows)}")


def interval(window: str) -> str:
    """How often a window is evaluated: twenty times in its length, and at least once a minute."""
    return f"{max(1, min(60, int(parse_duration(window) / 20)))}s"
