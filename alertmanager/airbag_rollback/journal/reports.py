"""Reports that people attached to actions, each bound to the audit by its checksum."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, fields

from airbag_rollback.journal.audit import Audit
from airbag_rollback.journal.database import Database, JournalError
from airbag_rollback.journal.report_store import ReportStore

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
    """One HTML document per action: the newest that was attached. It is named by action and content.

    So what the audit tells of is never written over, and a crash leaves the report before or the new one. The journal
    is not held up while a disk takes the document.
    """

    def __init__(self, store: ReportStore, database: Database, audit: Audit) -> None:
        self._store = store
        self._database = database
        self._audit = audit
        self._lock = threading.Lock()

    def attach(self, action_id: int, document: bytes, by: str, now: float) -> Attached:
        """Keep it for good, and say so in the audit. The same bytes again change nothing. JournalError as usual."""
        found = Attached(now, by, hashlib.sha256(document).hexdigest(), len(document))
        with self._lock:
            known = self.of(action_id)
            is_same = known is not None and known.sha256 == found.sha256
            with self._store.together():
                self._store.put(_name(action_id, found), document)
                if not is_same:
                    self._audit.append(KIND, {"action_id": action_id, **vars(found)}, now, action_id)
            if known is not None and is_same:
                return known
        self.sweep()
        return found

    def of(self, action_id: int) -> Attached | None:
        """What was attached last; None when nothing was."""
        records = [each.fields for each in self._audit.all(action_id) if each.kind == KIND]
        return Attached(*(records[-1][name] for name in _FIELDS)) if records else None

    def read(self, action_id: int) -> bytes | None:
        """The document; None when none was attached. JournalError when it is not the one that was attached."""
        attached = self.of(action_id)
        if attached is None:
            return None
        name = _name(action_id, attached)
        document = self._store.get(name)
        if hashlib.sha256(document).hexdigest() != attached.sha256:
            where = self._store.place_of(name)
            raise JournalError(f"{where} is not what {attached.by} attached; attach the report again")
        return document

    def sweep(self) -> None:
        """Remove the documents of which the audit tells nothing any more. JournalError when the disk says no."""
        with self._lock, self._store.together():
            there = self._store.names()
            kept = set(self._kept()) if there else set()
            for name in there:
                if name not in kept:
                    self._store.remove(name)

    def _kept(self) -> Iterator[str]:
        for (action_id,) in self._database.rows("SELECT DISTINCT action_id FROM audit WHERE kind = ?", KIND):
            attached = self.of(action_id)
            if attached is not None:
                yield _name(action_id, attached)


def _name(action_id: int, attached: Attached) -> str:
    return f"{action_id}-{attached.sha256[:16]}.html"
