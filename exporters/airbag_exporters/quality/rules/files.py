"""Which numbers stand in which file, for which window. A new family is one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain

from airbag_exporters.quality.rules import classification
from airbag_exporters.quality.rules.rule import Group, Record
from airbag_exporters.quality.rules.windows import RuleWindows, interval

Family = Callable[[str], list[Record]]

VERDICT: tuple[Family, ...] = (classification.verdict,)
QUALITY: tuple[Family, ...] = (classification.verdict, classification.classes)


def groups(windows: RuleWindows, alerts: Mapping[str, str]) -> dict[str, list[Group]]:
    """The groups of every rule file, by its name. `alerts` are hand-written alerts, by the file that they go to."""
    return {
        "quality": [Group("airbag-quality", "1s", _records(VERDICT, windows.verdict), alerts["quality"])],
        "quality_windows": [
            Group(f"airbag-quality-{window}", interval(window), _records(QUALITY, window)) for window in windows.quality
        ],
    }


def _records(families: Iterable[Family], window: str) -> tuple[Record, ...]:
    return tuple(chain.from_iterable(family(window) for family in families))
