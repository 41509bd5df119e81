"""The scan: every ten seconds over all base paths, on a thread of its own. A scrape only takes the finished page."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from airbag.clock import Clock
from airbag.exposition import Family, Samples
from airbag.repository import Repository, Uses, VersionFacts, fates, file_system, scan, stored
from airbag_exporters.serving.repository import families
from airbag_exporters.serving.repository.compare import Ask, Serving, ask_server
from airbag_exporters.serving.repository.families import OF_MODEL, OF_SCAN, Shown, lines
from airbag_exporters.serving.repository.hashing import Hasher, Job
from airbag_exporters.serving.repository.watched import Seen, Watched, watched

log = logging.getLogger("airbag.exporter.repository")

INTERVAL = 10.0
LOOKS_MAX = 500
"""Versions at rest that are looked at again in one scan; the others wait their turn. New ones always are."""

_REMEDY = "mount the model store at the same path as on the server, readable for the exporter"


@dataclass(frozen=True)
class Scan:
    """One look at one base path. `repository` is None when it could not be read; `problem` says why."""

    repository: Repository | None
    problem: str
    ended_at: float
    duration: float
    disk: tuple[int, int] | None = None


class RepositoryWatch:
    """Watches the model store and renders what it finds. `read` gives the groups as they are now.

    Any thread may call `page`. On a disk that does not answer only the scan waits: the page stays as it was, which
    `airbag_repo_last_scan_timestamp_seconds` shows.
    """

    def __init__(self, read: Callable[[], Iterable[Seen]], clock: Clock, ask: Ask = ask_server) -> None:
        self._read = read
        self._clock = clock
        self._serving = Serving(ask, clock)
        self._hasher = Hasher(clock)
        self._facts: dict[str, Mapping[int, VersionFacts]] = {}
        self._looked: dict[tuple[str, int], float] = {}
        self._shown: dict[tuple[str, str], tuple[Shown, Mapping[Family, str]]] = {}
        self._problems: dict[tuple[str, str], str] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._page = b""

    def start(self) -> None:
        """Begin to scan and to hash."""
        self._hasher.start()
        self._thread = threading.Thread(target=self._run, name="repository scan", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End both threads; returns within about four seconds, also when the disk does not answer."""
        self._stopping.set()
        self._hasher.stop()
        if self._thread:
            self._thread.join(timeout=2.0)

    def page(self) -> bytes:
        """The families as the last scan left them; empty before the first one ended."""
        return self._page

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.scan()
            except Exception:  # one surprising folder must not end the watch
                log.exception("a scan failed for a reason of our own")
            self._stopping.wait(INTERVAL)

    def scan(self) -> None:
        """One scan of everything, and the page that follows from it."""
        models = [model for seen in self._read() for model in watched(seen)]
        places = {model.key: os.path.realpath(model.entry.base_path) for model in models if model.entry}
        bases = sorted(set(places.values()))
        share = max(1, LOOKS_MAX // max(1, len(bases)))
        scans = {base: self._scan(base, share) for base in bases}
        self._facts = {base: each.repository.versions for base, each in scans.items() if each.repository}
        self._looked = {key: at for key, at in self._looked.items() if key[1] in self._facts.get(key[0], ())}
        self._hash(scans)
        uses = self._uses(models, places, scans)
        found: dict[tuple[str, str], Scan] = {}
        for model in models:
            base = places.get(model.key)
            found[model.key] = scans[base] if base else Scan(None, model.problem, self._clock.now(), 0.0)
            self._tell(model, found[model.key].problem)
        self._render(models, found, {key: uses[base] for key, base in places.items() if base in uses})

    def _scan(self, base: str, share: int) -> Scan:
        def again(rests: Iterable[VersionFacts]) -> list[int]:
            versions = sorted((facts.version for facts in rests), key=lambda v: self._looked.get((base, v), 0.0))
            self._looked.update(dict.fromkeys(((base, version) for version in versions[:share]), started))
            return versions[:share]

        started = self._clock.monotonic()
        try:
            repository = scan(Path(base), self._clock.now(), self._facts.get(base), again)
            disk = file_system(Path(base))
        except OSError as error:
            took = self._clock.monotonic() - started
            return Scan(None, f"{base} cannot be read: {error.strerror or error}", self._clock.now(), took)
        return Scan(repository, "", self._clock.now(), self._clock.monotonic() - started, disk)

    def _hash(self, scans: Mapping[str, Scan]) -> None:
        """Newest versions first, model by model."""
        jobs = [
            (-rank, _job(each.repository, facts))
            for each in scans.values()
            if each.repository
            for rank, facts in enumerate(each.repository.versions.values(), -len(each.repository.versions))
            if facts.complete
        ]
        self._hasher.want([job for _, job in sorted(jobs, key=lambda pair: pair[0])])

    def _uses(
        self, models: Iterable[Watched], places: Mapping[tuple[str, str], str], scans: Mapping[str, Scan]
    ) -> dict[str, Uses]:
        """What is needed of each base path, by all models that lie there together. One whose place is not known
        might lie anywhere."""
        lost = [model.problem for model in models if model.lost]
        found: dict[str, list[Uses]] = {}
        for model in models:
            base = places.get(model.key)
            repository = scans[base].repository if base else None
            if base and repository:
                found.setdefault(base, [Uses(unknown=lost[0])] if lost else []).append(model.uses(repository.listing))
        return {base: reduce(Uses.with_, each) for base, each in found.items()}

    def _render(
        self, models: list[Watched], scans: Mapping[tuple[str, str], Scan], uses: Mapping[tuple[str, str], Uses]
    ) -> None:
        shown: dict[tuple[str, str], tuple[Shown, Mapping[Family, str]]] = {}
        about = Samples(OF_SCAN)
        for model in models:
            key, each = model.key, scans[model.key]
            about.add(families.SUCCESS, key, each.repository is not None)
            if each.repository is None or each.disk is None:
                continue
            about.add(families.SCANNED, key, each.ended_at)
            about.add(families.DURATION, key, each.duration)
            about.add(families.DISK_SIZE, key, each.disk[0])
            about.add(families.DISK_FREE, key, each.disk[1])
            now = self._show(model, each.repository, uses[key])
            before = self._shown.get(key)
            shown[key] = before if before and before[0] == now else (now, lines(now))
        self._shown = shown
        parts = [family.head + "".join(each[family] for _, each in shown.values()) for family in OF_MODEL]
        self._page = "".join(parts).encode(errors="replace") + about.page()

    def _show(self, model: Watched, repository: Repository, uses: Uses) -> Shown:
        sha256 = {
            version: found
            for version, facts in repository.versions.items()
            if (found := self._hasher.get(_job(repository, facts)))
        }
        goes = {}
        if uses.serves and not uses.unknown:
            decided = fates(stored(repository), uses, model.seen.group.retention, self._clock.now())
            goes = {fate.version: fate.goes for fate in decided}
        return Shown(*model.key, repository, sha256, self._serving.signatures(model), goes)

    def _tell(self, model: Watched, problem: str) -> None:
        """Say when a base path cannot be read and when it can again, not in between."""
        before, names = self._problems.get(model.key), {"serving": model.key[0], "model_name": model.model}
        if problem and problem != before:
            remedy = _REMEDY if model.entry else "list it in models.config, or take it out of exporters.yml"
            log.warning("the model store cannot be watched", extra={**names, "reason": problem, "remedy": remedy})
        elif before and not problem:
            log.info("the model store can be watched again", extra=names)
        self._problems[model.key] = problem


def _job(repository: Repository, facts: VersionFacts) -> Job:
    return Job(repository.listing.base / facts.name, facts.stamp)
