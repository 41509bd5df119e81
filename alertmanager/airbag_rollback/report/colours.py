"""The colours of the charts, for light and dark. Blue and orange stay apart for most eyes that see few colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Colour:
    """One colour on light and on dark paper."""

    light: str
    dark: str


COLOURS: Mapping[str, Colour] = {
    "ink": Colour("#1c2127", "#e7e9ec"),
    "soft": Colour("#59616b", "#a6adb7"),
    "grid": Colour("#dcdcd5", "#353b43"),
    "paper": Colour("#ffffff", "#1d2126"),
    "limit": Colour("#a3161a", "#ff9f98"),
    "bad": Colour("#c2410c", "#ff9a57"),
    "good": Colour("#0b57c2", "#7db2ff"),
    "other-1": Colour("#13652f", "#86dda0"),
    "other-2": Colour("#7c3aad", "#d0a8f5"),
    "other-3": Colour("#7a4a00", "#ffcf6b"),
    "release": Colour("#59616b", "#a6adb7"),
    "alert": Colour("#a3161a", "#ff9f98"),
    "switch": Colour("#0b57c2", "#7db2ff"),
    "recovered": Colour("#13652f", "#86dda0"),
    "human": Colour("#7a4a00", "#ffcf6b"),
}
OTHERS = ("other-1", "other-2", "other-3")


def of_versions(versions: list[str], bad: list[str], good: list[str]) -> dict[str, str]:
    """The name of each version's colour: a bad one is orange, one gone back to blue, the others in turn."""
    rest = [each for each in versions if each not in bad and each not in good]
    named = {each: OTHERS[number % len(OTHERS)] for number, each in enumerate(rest)}
    return {each: "bad" if each in bad else "good" if each in good else named[each] for each in versions}


def css(scheme: str) -> str:
    """The custom properties of a scheme."""
    return " ".join(f"--chart-{name}: {getattr(colour, scheme)};" for name, colour in COLOURS.items())
