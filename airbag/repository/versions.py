"""Which children of a model's base_path are versions, exactly as TensorFlow Serving decides it: by the name alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PRUNED = ".airbag-prune-"
"""How the name of a version begins once a prune has taken it out of the servers' sight."""

QUARANTINED = ".airbag-quarantined-"
"""How the name of a version begins once a rollback has taken it out of the servers' sight. It is never deleted."""

_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)


@dataclass(frozen=True)
class Listing:
    """The names under a base_path. `versions` gives each number the names that spell it: more than one is a mistake,
    and which of them a server takes is not known. `ignored` are the names that are no number; `leftovers` those among
    them that an interrupted prune left."""

    base: Path
    versions: dict[int, tuple[str, ...]]
    ignored: tuple[str, ...]

    @property
    def leftovers(self) -> tuple[str, ...]:
        return tuple(name for name in self.ignored if name.startswith(PRUNED))

    @property
    def twice(self) -> frozenset[int]:
        """The numbers that more than one name spells."""
        return frozenset(version for version, names in self.versions.items() if len(names) > 1)

    def path(self, version: int) -> Path:
        """Where the version lies; of several names the first in byte order."""
        return self.base / self.versions[version][0]


def version_number(name: str) -> int | None:
    """The number that a whole name spells: signs, surrounding blanks and leading zeros included. None for any other."""
    if not _INTEGER.fullmatch(name):
        return None
    number = int(name)
    return number if -(2**63) <= number < 2**63 else None


def sort_out(base: Path, names: Iterable[str]) -> Listing:
    """The listing of these names. What a child is, file or folder or link, has no say."""
    versions: dict[int, tuple[str, ...]] = {}
    ignored = []
    for name in sorted(names, key=os.fsencode):
        number = version_number(name)
        if number is None:
            ignored.append(name)
        else:
            versions[number] = (*versions.get(number, ()), name)
    return Listing(base, dict(sorted(versions.items())), tuple(ignored))


def list_versions(base: Path) -> Listing:
    """What lies under `base` now. OSError when it cannot be read."""
    return sort_out(base, os.listdir(base))  # noqa: PTH208 - names only: one system call for thousands of them
