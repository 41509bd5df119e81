"""What is known of a model's versions from the disk alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from airbag.errors import ConfigError
from airbag.repository.card import Card, read_card
from airbag.repository.complete import judge, model_file
from airbag.repository.folder import walk
from airbag.repository.retention import Stored
from airbag.repository.signatures import Signatures
from airbag.repository.versions import Listing, list_versions

SETTLE = 5.0
"""Seconds without any change after which a version counts as written."""


@dataclass(frozen=True)
class VersionFacts:
    """One version. Times are seconds since the epoch.

    `problem` says why it is not whole, "" when it is; `arriving` that it changed within the last SETTLE seconds.
    `created_at` is the mtime of its model file, `touched_at` the newest mtime in it: copying with `-p` or `-a` keeps
    both. `changed_at` is when a scan saw it change. `leans_on` are real paths that links in it lead to.
    """

    version: int
    name: str
    problem: str = ""
    arriving: bool = False
    size: int = 0
    files: int = 0
    created_at: float | None = None
    touched_at: float = 0.0
    changed_at: float | None = None
    signatures: Signatures | None = None
    card: Card | None = None
    card_problems: tuple[str, ...] = ()
    leans_on: frozenset[str] = frozenset()
    stamp: str = ""

    @property
    def complete(self) -> bool:
        """Whether it can be served as it lies there, as far as the files tell."""
        return not self.problem and not self.arriving

    @property
    def reason(self) -> str:
        """Why it is not complete, or ""."""
        if self.arriving:
            return f"it is still being written ({self.problem})" if self.problem else "it is still being written"
        return self.problem


@dataclass(frozen=True)
class Repository:
    """All versions of one model, oldest number first."""

    listing: Listing
    versions: Mapping[int, VersionFacts]

    @property
    def size(self) -> int:
        """Bytes of all versions."""
        return sum(facts.size for facts in self.versions.values())

    def leaning(self) -> dict[int, frozenset[int]]:
        """Which other versions each version reaches by links; without them it could not be loaded again."""
        leans = {version: facts.leans_on for version, facts in self.versions.items() if facts.leans_on}
        places = {version: os.path.realpath(self.listing.path(version)) for version in self.versions} if leans else {}
        return {
            version: frozenset(
                other
                for other, place in places.items()
                if other != version and any(link == place or link.startswith(place + os.sep) for link in links)
            )
            for version, links in leans.items()
        }


def look(path: Path, version: int, now: float, before: VersionFacts | None = None) -> VersionFacts:
    """The facts of one version. Never raises for what lies there: what cannot be read is a `problem`.

    With `before`, its last facts, files are only opened when something changed since, or was wrong.
    """
    facts = VersionFacts(version, path.name)
    try:
        found = path.stat()
        if not path.is_dir():
            return replace(facts, problem="it is a plain file; a version is a folder", touched_at=found.st_mtime,
                           size=found.st_size)  # fmt: skip
        folder = walk(path)
    except FileNotFoundError:
        return replace(facts, problem="it is a link to nothing, or went away")
    except OSError as error:
        return replace(facts, problem=f"it cannot be read: {error.strerror or error}")
    stamp = folder.stamp
    changed_at = before.changed_at if before and before.stamp == stamp else now if before else None
    arriving = abs(now - folder.touched_at) < SETTLE or (changed_at is not None and abs(now - changed_at) < SETTLE)
    if before and before.stamp == stamp and not before.problem and not before.card_problems:
        return replace(before, arriving=arriving, touched_at=folder.touched_at)
    problem, model = judge(path, folder)
    card, card_problems = _card(path)
    file = model_file(folder)
    return VersionFacts(
        version, path.name, problem, arriving, folder.size, len(folder.files),
        file.mtime_ns / 1e9 if file else None, folder.touched_at, changed_at,
        model.signatures if model else None, card, card_problems, folder.links, stamp,
    )  # fmt: skip


def scan(
    base: Path,
    now: float,
    before: Mapping[int, VersionFacts] | None = None,
    again: Callable[[Iterable[VersionFacts]], Iterable[int]] | None = None,
) -> Repository:
    """Every version under `base`. OSError when `base` cannot be read.

    `before` are the last facts. `again` picks from those that rest which to look at this time; the others are taken as
    they were. New versions, and those that were changing, are always looked at.
    """
    listing, known = list_versions(base), before or {}
    rests = [
        facts for v, facts in known.items()
        if v in listing.versions and facts.name == listing.versions[v][0] and facts.stamp and not facts.arriving
    ]  # fmt: skip
    keep = {facts.version: facts for facts in rests}
    if again is None:
        keep = {}
    else:
        for version in again(rests):
            keep.pop(version, None)
    found = {}
    for version in listing.versions:
        path = listing.path(version)
        found[version] = keep.get(version) or look(path, version, now, _same_name(known.get(version), path))
    return Repository(listing, found)


def stored(repository: Repository) -> tuple[Stored, ...]:
    """What `fates` needs to know of each version."""
    leaning = repository.leaning()
    return tuple(
        Stored(version, facts.complete, facts.touched_at, facts.reason, leaning.get(version, frozenset()))
        for version, facts in repository.versions.items()
    )


def file_system(base: Path) -> tuple[int, int]:
    """Bytes of the file system under `base`, and those of them that an ordinary user may still fill. OSError."""
    found = os.statvfs(base)
    return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize


def _same_name(facts: VersionFacts | None, path: Path) -> VersionFacts | None:
    return facts if facts and facts.name == path.name else None


def _card(path: Path) -> tuple[Card | None, tuple[str, ...]]:
    try:
        return read_card(path), ()
    except ConfigError as error:
        return None, tuple(map(str, error.problems))
