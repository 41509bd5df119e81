"""The file-system poll: which version numbers lie under each base path, and which of them are asked for."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger("airbag.model_server")

_NO_VERSIONS = (
    "No versions of servable %s found under base path %s. "
    "Did you forget to name your leaf directory as a number (eg. '/1/')?"
)
_MISSING = (
    "Version %d of servable %s, which was requested to be served as a 'specific' version in the servable's config, "
    "was not found in the file system"
)
_DUPLICATE = "Duplicate version directories detected. Version %d will be loaded from %s, %s will be ignored."
_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)


@dataclass(frozen=True)
class Latest:
    """The highest numbers on disk; 0 counts as 1."""

    count: int = 1


@dataclass(frozen=True)
class Every:
    """Every number on disk."""


@dataclass(frozen=True)
class Specific:
    """These numbers, as far as they are on disk."""

    versions: frozenset[int]


Policy = Latest | Every | Specific


@dataclass(frozen=True)
class Source:
    """Where the versions of one model lie, and which are wanted."""

    name: str
    base_path: str
    policy: Policy = Latest()


def version_number(name: str) -> int | None:
    """The number that a whole file name spells, signs, blanks and leading zeros included; None for any other name."""
    if not _INTEGER.fullmatch(name):
        return None
    number = int(name)
    return number if -(2**63) <= number < 2**63 else None


def versions_on_disk(base_path: str) -> dict[int, str]:
    """Number to path. Only the name of a child counts, not what it is; of two names for a number the last one counts.

    OSError if the base path cannot be read.
    """
    found: dict[int, str] = {}
    for child in sorted(Path(base_path).iterdir()):
        number = version_number(child.name)
        if number is None:
            continue
        if number in found:
            log.warning(_DUPLICATE, number, child.name, found[number])
        found[number] = str(child)
    return found


def desired(source: Source, on_disk: Mapping[int, str]) -> dict[int, str]:
    """What the policy asks for out of what is there."""
    if not on_disk:
        log.warning(_NO_VERSIONS, source.name, source.base_path)
    match source.policy:
        case Latest(count):
            wanted: Iterable[int] = sorted(on_disk, reverse=True)[: max(count, 1)]
        case Every():
            wanted = on_disk
        case Specific(versions):
            for number in sorted(versions - on_disk.keys()):
                log.warning(_MISSING, number, source.name)
            wanted = versions & on_disk.keys()
    return {number: on_disk[number] for number in wanted}


class StoragePoller:
    """Looks at every base path each `wait_seconds` (0: once) and asks for the versions it finds."""

    def __init__(self, ask: Callable[[str, Mapping[int, str]], None], wait_seconds: int) -> None:
        self._ask = ask
        self._wait_seconds = wait_seconds
        self._lock = threading.Lock()
        self._sources: tuple[Source, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The models that are looked after now."""
        with self._lock:
            return frozenset(source.name for source in self._sources)

    def replace(self, sources: Iterable[Source]) -> None:
        """Look after these from the next poll on; models that are left out are asked to go now."""
        with self._lock:
            before, self._sources = self._sources, tuple(sources)
            kept = {source.name for source in self._sources}
            for source in before:
                if source.name not in kept:
                    self._ask(source.name, {})

    def start(self) -> None:
        """Poll now and from then on, in a thread of its own. A negative wait means never."""
        if self._wait_seconds >= 0:
            threading.Thread(target=self._run, name="storage", daemon=True).start()

    def poll(self) -> None:
        """Look once. The first base path that cannot be read ends the look for all models, before anything is asked."""
        with self._lock:
            try:
                found = [(source.name, desired(source, self._look(source))) for source in self._sources]
            except OSError as error:
                log.error("FileSystemStoragePathSource encountered a filesystem access error: %s", error)  # noqa: TRY400
                return
            for name, paths in found:
                self._ask(name, paths)

    def _look(self, source: Source) -> dict[int, str]:
        try:
            return versions_on_disk(source.base_path)
        except OSError as error:
            raise OSError(
                f"Could not find base path {source.base_path} for servable {source.name} "
                f"with error NOT_FOUND: {source.base_path} not found"
            ) from error

    def _run(self) -> None:
        while True:
            started = time.monotonic()
            try:
                self.poll()
            except Exception:
                log.exception("the file-system poll failed")
            if not self._wait_seconds:
                return
            time.sleep(max(0.0, started + self._wait_seconds - time.monotonic()))
