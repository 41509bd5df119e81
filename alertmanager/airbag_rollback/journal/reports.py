"""Reports that people attached to actions: files beside the journal, each bound to the audit by its checksum."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from airbag.disk import replace_file
from airbag_rollback.journal.audit import Audit
from airbag_rollback.journal.database import Database, JournalError

KIND = "report attached"
"""How the audit calls it."""


@dataclass(frozen=True)
class Attached:
    """What the audit says of a report: when, by whom, and which bytes."""

    at: float
    by: str
    sha256: str
    bytes: int


_FIELDS = tuple(field.name for field in fields(Attached))


class Reports:
    """One HTML document per action: the newest that was attached. A file is named by action and content.

    So what the audit tells of is never written over, and a crash leaves the report before or the new one. The journal
    is not held up while the disk takes the document.
    """

    def __init__(self, folder: Path, database: Database, audit: Audit) -> None:
        self._folder = folder
        self._database = database
        self._audit = audit
        self._lock = threading.Lock()

    def attach(self, action_id: int, document: bytes, by: str, now: float) -> Attached:
        """Keep it for good, and say so in the audit. The same bytes again change nothing. JournalError as usual."""
        found = Attached(now, by, hashlib.sha256(document).hexdigest(), len(document))
        with self._lock:
            known = self.of(action_id)
            with self._disk():
                self._folder.mkdir(mode=0o700, exist_ok=True)
                replace_file(self._path(action_id, found), document)
            if known is not None and known.sha256 == found.sha256:
                return known
            self._audit.append(KIND, {"action_id": action_id, **vars(found)}, now, action_id)
        self.sweep()
        return found

    def of(self, action_id: int) -> Attached | None:
        """What was attached last; None when nothing was."""
        records = [each.fields for each in self._audit.all(action_id) if each.kind == KIND]
        return Attached(*(records[-1][name] for name in _FIELDS)) if records else None

    def read(self, action_id: int) -> bytes | None:
        """The document; None when none was attached. JournalError when the file is not the one that was attached."""
        attached = self.of(action_id)
        if attached is None:
            return None
        path = self._path(action_id, attached)
        with self._disk():
            document = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(document).hexdigest() != attached.sha256:
            raise JournalError(f"{path} is not what {attached.by} attached; attach the report again")
        return document

    def sweep(self) -> None:
        """Remove the files of which the audit tells nothing any more. JournalError when the disk says no."""
        with self._lock, self._disk():
            if self._folder.is_dir():
                kept = set(self._kept())
                for file in self._folder.glob("*.html"):
                    if file not in kept:
                        file.unlink()

    def _kept(self) -> Iterator[Path]:
        for (action_id,) in self._database.rows("SELECT DISTINCT action_id FROM audit WHERE kind = ?", KIND):
            attached = self.of(action_id)
            if attached is not None:
                yield self._path(action_id, attached)

    def _path(self, action_id: int, attached: Attached) -> Path:
        return self._folder / f"{action_id}-{attached.sha256[:16]}.html"

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise JournalError(f"cannot keep reports in {self._folder}: {error.strerror or error}") from error
