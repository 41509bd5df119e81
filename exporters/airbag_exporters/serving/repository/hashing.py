"""Checksums of versions, computed beside everything else and slowly, so that servers keep the disk."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airbag.clock import Clock
from airbag.repository import Changed, File, checksum

log = logging.getLogger("airbag.exporter.repository")

RATE = 64 << 20
"""Bytes per second at most."""

RETRY_AFTER = 60.0


class _Stopped(Exception):
    """The process ends."""


@dataclass(frozen=True)
class Job:
    """A version to hash; `stamp` says in which state it was seen."""

    path: Path
    stamp: str


class Hasher:
    """Hashes what `want` asked for last, in that order, on a thread of its own. Each file is read once."""

    def __init__(self, clock: Clock, rate: float = RATE) -> None:
        self._clock = clock
        self._rate = rate
        self._change = threading.Condition()
        self._jobs: tuple[Job, ...] = ()
        self._done: dict[Job, str] = {}
        self._failed: dict[Job, float] = {}
        self._files: dict[Path, dict[File, str]] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="repository hash", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End within about a second, also in the middle of a file."""
        self._stopping.set()
        with self._change:
            self._change.notify_all()
        if self._thread:
            self._thread.join(timeout=2.0)

    def want(self, jobs: Sequence[Job]) -> None:
        """Have exactly these hashed; what is known of others is forgotten."""
        with self._change:
            self._jobs = tuple(jobs)
            wanted, paths = set(jobs), {job.path for job in jobs}
            self._done = {job: sha256 for job, sha256 in self._done.items() if job in wanted}
            self._failed = {job: at for job, at in self._failed.items() if job in wanted}
            self._files = {path: files for path, files in self._files.items() if path in paths}
            self._change.notify_all()

    def get(self, job: Job) -> str | None:
        """The checksum, once it is known."""
        with self._change:
            return self._done.get(job)

    def _run(self) -> None:
        while not self._stopping.is_set():
            with self._change:
                job = self._next()
                if job is None:
                    self._change.wait(timeout=RETRY_AFTER)
                    continue
                files = self._files.setdefault(job.path, {})
            try:
                self._hash(job, files)
            except _Stopped:
                return
            except Exception:  # one surprising file must not end the hashing of the others
                log.exception("a checksum failed for a reason of our own", extra={"path": str(job.path)})
                self._fail(job)

    def _next(self) -> Job | None:
        again = self._clock.monotonic() - RETRY_AFTER
        todo = (job for job in self._jobs if job not in self._done and self._failed.get(job, again) <= again)
        return next(todo, None)

    def _hash(self, job: Job, files: dict[File, str]) -> None:
        try:
            found = checksum(job.path, files, read=self._go_easy)
        except (Changed, OSError) as error:
            log.info("a version has no checksum yet", extra={"path": str(job.path), "reason": str(error)})
            self._fail(job)
            return
        with self._change:
            if job in self._jobs:
                self._done[job] = found

    def _fail(self, job: Job) -> None:
        with self._change:
            self._failed[job] = self._clock.monotonic()

    def _go_easy(self, size: int) -> None:
        if self._stopping.wait(size / self._rate):
            raise _Stopped
