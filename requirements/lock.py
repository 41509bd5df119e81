"""A lock file, as pip and uv read it: one version of each package, and the hashes of its files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_ENTRY = re.compile(r"^(?P<requirement>[A-Za-z0-9][^\\#\n]*?)\s*(?P<rest>\\\n(?:[ \t]+[^\n]*\n?)*|\n|$)", re.MULTILINE)
_HASH = re.compile(r"--hash=(\w+:[0-9a-f]+)")


@dataclass(frozen=True)
class Locked:
    """One entry. `applies` is whether its marker fits the Python that runs this."""

    name: str
    version: str
    hashes: tuple[str, ...]
    applies: bool


def read_lock(path: Path) -> list[Locked]:
    """Every entry, in the order of the file. ValueError for a line that pins no version."""
    return list(_entries(path))


def _entries(path: Path) -> Iterator[Locked]:
    for found in _ENTRY.finditer(path.read_text()):
        requirement = Requirement(found["requirement"])
        pins = [each.version for each in requirement.specifier if each.operator == "=="]
        if len(pins) != 1 or len(requirement.specifier) != 1:
            raise ValueError(f"{path.name}: `{found['requirement']}` should be NAME==VERSION")
        yield Locked(
            name=canonicalize_name(requirement.name),
            version=pins[0],
            hashes=tuple(_HASH.findall(found["rest"])),
            applies=requirement.marker is None or requirement.marker.evaluate(),
        )
