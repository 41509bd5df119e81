"""How Prometheus' rules look at the numbers: the section `rules` of exporters.yml, which the receiver reads too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from airbag.config import Duration, Section, parse_duration

_PROMETHEUS = re.compile(r"[1-9]\d*[smhd]")


@dataclass(frozen=True)
class Profile:
    """How fast the way from a fault to the webhook is; durations as Prometheus writes them.

    Targets are scraped and rules evaluated every `interval`; a rollback is decided on the last `window`, or where a
    fault is plain already on the last `burst`, and on what has been true for `hold`. Within `act_within` after the
    first bad answer Airbag wants to begin to act.
    """

    interval: str
    window: str
    burst: str
    hold: str
    act_within: str


PROFILES: Mapping[str, Profile] = {
    "fast": Profile(interval="1s", window="15s", burst="5s", hold="2s", act_within="15s"),
    "relaxed": Profile(interval="5s", window="30s", burst="20s", hold="5s", act_within="60s"),
}


class RuleSettings(Section):
    """The section. `profile` sets how fast a rollback is decided: `fast`, or `relaxed` for large fleets.

    People look at the windows `quality` and `drift`, written as Prometheus writes them ("5m", "1h"); alerts for people
    rest on the first of each. `act_within` is the objective that `airbag check` holds the whole chain against.
    """

    profile: Literal["fast", "relaxed"] = "fast"
    act_within: Annotated[Duration, Field(gt=0)] | None = None
    quality: Annotated[tuple[str, ...], Field(min_length=1)] = ("5m", "1h")
    drift: Annotated[tuple[str, ...], Field(min_length=1)] = ("15m",)

    @property
    def pace(self) -> Profile:
        """The profile's durations."""
        return PROFILES[self.profile]

    @property
    def verdict(self) -> str:
        """The window that a machine acts on."""
        return self.pace.window

    @property
    def objective(self) -> float:
        """Seconds from the first bad answer to the first action that are wanted."""
        return self.act_within or parse_duration(self.pace.act_within)

    @model_validator(mode="after")
    def _windows_are_prometheus_s(self) -> Self:
        for window in (*self.quality, *self.drift):
            if not _PROMETHEUS.fullmatch(window):
                raise ValueError(f'{window!r} is no window; write a whole number and one unit, such as "15s" or "1h"')
        for name, windows in (("quality", (self.verdict, *self.quality)), ("drift", self.drift)):
            if len(set(map(parse_duration, windows))) < len(windows):
                raise ValueError(f"a window of {name} stands there twice: {', '.join(windows)}")
        return self


def interval(window: str) -> str:
    """How often a window is evaluated: twenty times in its length, and at least once a minute."""
    return f"{max(1, min(60, int(parse_duration(window) / 20)))}s"
