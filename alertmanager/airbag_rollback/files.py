"""Whether the files of a version are whole and still those that served, and go with what clients send now."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from airbag.errors import AirbagError
from airbag.log import Complaints
from airbag.repository import Changed, File, VersionFacts, checksum, differences, list_versions, look
from airbag.serving.groups import ServingGroup, Servings
from airbag.serving.model_config import ModelConfigFile
from airbag_rollback.journal import Journal
from airbag_rollback.look import base_path

log = logging.getLogger("airbag.receiver.files")

_READ_MAX = 64 << 20
_READ_SECONDS = 0.5
_AHEAD = 12
_PACE = 100 << 20
"""Bytes a second that are read ahead: the disk is also the server's."""


class TooMuch(AirbagError):
    """Reading on would take longer than a decision may."""

    reason = "too_much"
    retryable = True


@dataclass(frozen=True)
class FilesOf:
    """Whose files: a version under `base`, whose files had the checksum `noted` when it served, "" when nobody knows.

    What is `loaded` on every server needs no more to be complete. `suspect` is the version that clients are served by.
    """

    base: Path
    version: int
    suspect: int
    noted: str = ""
    loaded: bool = False


@dataclass
class Files:
    """Remembers what was read by the files' identity, so that only what changed is read again. For any thread.

    A decision reads `read_max` bytes of a version at most; the rest is left to the thread that reads ahead.
    """

    read_max: int = _READ_MAX
    _known: dict[Path, dict[File, str]] = field(default_factory=dict)
    _facts: dict[Path, VersionFacts] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def flaw(self, ask: FilesOf, now: float) -> str:
        """What speaks against going back to these files, and what to do about it; "" when nothing does."""
        path, suspect = _path(ask.base, ask.version), _path(ask.base, ask.suspect)
        if path is None:
            return ""
        facts = self._look(path, ask.version, now)
        if not ask.loaded and not facts.complete:
            return f"is not complete on disk: {facts.reason}. Complete it, or wait until its copy ends"
        return self._other_files(path, ask.noted) or self._other_signature(facts, suspect, ask.suspect, now)

    def checksum(self, path: Path, read: Callable[[int], None] = lambda _: None) -> str:
        """As `airbag.repository.checksum`, without reading again what was read before."""
        with self._lock:
            known = dict(self._known.get(path, {}))
        try:
            return checksum(path, known, read=read)
        finally:
            with self._lock:
                self._known[path] = known

    def _other_files(self, path: Path, noted: str) -> str:
        if not noted:
            return ""
        try:
            found = self.checksum(path, _limit(self.read_max))
        except TooMuch:
            return (
                "has files that were not compared yet with those that served, which takes longer than a decision may. "
                "They are being read: ask again in a minute"
            )
        except Changed as error:
            return f"has files that cannot be compared with those that served: {error}. Wait until they rest"
        except OSError as error:
            why = error.strerror or error
            return f"has files that cannot be compared with those that served: {why}. Let the receiver read them"
        if found == noted:
            return ""
        return (
            f"has other files: they are not those that served (checksum {noted[:12]} then, {found[:12]} now). "
            "Put the old files back, or release these under a new number"
        )

    def _other_signature(self, facts: VersionFacts, suspect: Path | None, number: int, now: float) -> str:
        serving = self._look(suspect, number, now).signatures if suspect else None
        if serving is None or facts.signatures is None:
            return ""
        found = differences(serving, facts.signatures)
        breaking = [each.text for each in found if each.breaks and not each.is_open]
        if not breaking:
            return ""
        return (
            f"has another signature, not compatible with that of {number}: {'; '.join(breaking[:3])}. "
            "Change the clients first, or release a version that takes what they send"
        )

    def _look(self, path: Path, version: int, now: float) -> VersionFacts:
        with self._lock:
            before = self._facts.get(path)
        facts = look(path, version, now, before)
        with self._lock:
            self._facts[path] = facts
        return facts


def store_of(group: ServingGroup, model: str) -> Path | None:
    """Where the versions of the model lie; None when nobody says, or models.config cannot be read."""
    return stores_of(group)(model)


def stores_of(group: ServingGroup) -> Callable[[str], Path | None]:
    """The same for any model of the group, with one look at models.config."""
    if group.model_config_file is None:
        entries = {entry.name: entry.base_path for entry in group.models}
        return entries.get
    try:
        snapshot = ModelConfigFile(group.model_config_file).read()
    except AirbagError:
        return lambda _: None
    return lambda model: base_path(snapshot, model) if model in snapshot.models else None


def _path(base: Path, version: int) -> Path | None:
    """The version's folder; None when it cannot be seen from here."""
    try:
        listing = list_versions(base)
    except OSError:
        return None
    return listing.path(version) if version in listing.versions else None


def _limit(left: int) -> Callable[[int], None]:
    """Raises TooMuch once a decision has read as much as it may."""
    until = time.monotonic() + _READ_SECONDS

    def read(count: int) -> None:
        nonlocal left
        left -= count
        if left < 0 or time.monotonic() > until:
            raise TooMuch("reading on would take longer than a decision may")

    return read


class FileWatch(threading.Thread):
    """Notes the checksum of what serves, and reads ahead what one may go back to, so that no decision waits for it.

    What serves is looked for every `every` seconds, what changed of what served in each _AHEAD-th look.
    """

    def __init__(
        self, servings: Callable[[], Servings], journal: Journal, files: Files, now: Callable[[], float],
        every: float = 5.0,
    ) -> None:  # fmt: skip
        super().__init__(name="files", daemon=True)
        self._servings = servings
        self._journal = journal
        self._complaints = Complaints(log)
        self._files = files
        self._now = now
        self._every = every
        self._ending = threading.Event()
        self._said: dict[Path, str] = {}
        self._looks = 0
        self._stores: dict[str, Callable[[str], Path | None]] = {}

    def stop(self) -> None:
        """End, in the middle of a file if need be."""
        self._ending.set()

    def run(self) -> None:
        while not self._ending.wait(self._every):
            if not self._journal.lease.fence:
                continue
            try:
                with self._journal.lease.leading():
                    self.look_around()
            except AirbagError as error:
                self._complaints.warn("files are not read", error)
            except Exception:  # one bad file must not end the watch
                log.exception("reading files failed")

    def look_around(self) -> None:
        """Read what serves and is not noted, and at times whatever changed of what served."""
        ledger, self._stores = self._journal.ledger, {}
        for serving, model, version in ledger.unread():
            found = self._read(serving, model, version)
            if found:
                ledger.read(serving, model, version, found)
        if self._looks % _AHEAD == 0:
            self._read_ahead()
        self._looks += 1

    def _read_ahead(self) -> None:
        for serving, model, *_ in self._journal.ledger.present():
            for served in self._journal.ledger.served(serving, model, self._now()):
                if served.checksum:
                    self._read(serving, model, served.version)

    def _read(self, serving: str, model: str, version: int) -> str:
        """The checksum; "" when it cannot be told now."""
        group = self._servings().group(serving)
        if group is None:
            return ""
        if serving not in self._stores:
            self._stores[serving] = stores_of(group)
        base = self._stores[serving](model)
        path = _path(base, version) if base else None
        if path is None or self._ending.is_set():
            return ""
        try:
            found = self._files.checksum(path, self._pause)
        except (AirbagError, OSError) as error:
            if not self._ending.is_set():
                self._say(path, f"cannot be read: {error}")
            return ""
        self._say(path, f"has the checksum {found}")
        return found

    def _pause(self, count: int) -> None:
        if self._ending.wait(count / _PACE):
            raise TooMuch("the receiver ends")

    def _say(self, path: Path, sentence: str) -> None:
        if self._said.get(path) != sentence:
            self._said[path] = sentence
            log.info(sentence, extra={"version": str(path)})
