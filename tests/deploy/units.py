"""Reads systemd units, and puts what they name under a folder of the test's."""

from __future__ import annotations

import functools
import re
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes.binaries import ROOT

FOLDER = ROOT / "docs/examples/systemd"
SERVICES = sorted(path.name for path in FOLDER.glob("*.service"))
SPANS = {"s": 1, "min": 60}


@dataclass(frozen=True)
class Unit:
    """What a unit says: each key of each section with all its values, in order; an empty value begins anew."""

    name: str
    sections: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def all(self, key: str, section: str = "Service") -> list[str]:
        return self.sections[section].get(key, [])

    def one(self, key: str, section: str = "Service") -> str:
        [value] = self.all(key, section)
        return value

    def seconds(self, key: str) -> float:
        number, unit = re.fullmatch(r"(\d+)(s|min)", self.one(key)).groups()  # type: ignore[union-attr] # else it fails
        return int(number) * SPANS[unit]


def read_unit(path: Path) -> Unit:
    """The unit without comments."""
    unit = Unit(path.name)
    section: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = unit.sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            section[key] = [*section.get(key, []), value] if value else []
    return unit


def words(command: str, environment: dict[str, str]) -> list[str]:
    """The words of a command line as systemd makes them: `$NAME` alone becomes as many words as it holds."""
    out: list[str] = []
    for word in shlex.split(command):
        out += shlex.split(environment[word[1:]]) if word.startswith("$") else [word]
    return out


def environment_file(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {name: "".join(shlex.split(value)) for name, _, value in (line.partition("=") for line in lines)}


def system_calls(filters: list[str]) -> list[str]:
    """The names that the lines of SystemCallFilter= leave: a list to begin with, then taken away (`~`) or added."""
    allowed: list[str] = []
    for line in filters:
        named = [name for word in line.lstrip("~").split() for name in _expand(word)]
        allowed = [name for name in allowed if name not in named] if line[0] == "~" else [*allowed, *named]
    return allowed


@functools.cache
def _expand(word: str) -> tuple[str, ...]:
    if not word.startswith("@"):
        return (word,)
    done = subprocess.run(["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True)
    members = [line.strip() for line in done.stdout.splitlines()[1:]]
    return tuple(name for member in members if member and member[0] != "#" for name in _expand(member))
