"""One SQLite file, every commit on the disk before it returns; several processes of one host may share it."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airbag.disk import sync_folder
from airbag.errors import AirbagError, StartError
from airbag_rollback import failpoints
from airbag_rollback.engine.states import REOPENS, TOUCHING, State

SCHEMA_VERSION = "2"
LEADER = "leader"
"""The one lease."""


def _quoted(states: frozenset[State]) -> str:
    return ", ".join(f"'{state}'" for state in sorted(states))


_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, received_at REAL NOT NULL, body BLOB NOT NULL, admitted_at REAL, results TEXT
);
CREATE INDEX IF NOT EXISTS deliveries_pending ON deliveries (id) WHERE admitted_at IS NULL;
CREATE TABLE IF NOT EXISTS actions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, serving TEXT NOT NULL, model_name TEXT NOT NULL,
    state TEXT NOT NULL, rev INTEGER NOT NULL, cleared_at REAL, document BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS one_action_per_key ON actions (key)
    WHERE state NOT IN ({_quoted(REOPENS)}) AND cleared_at IS NULL;
CREATE UNIQUE INDEX IF NOT EXISTS one_effect_per_model ON actions (serving, model_name)
    WHERE state IN ({_quoted(TOUCHING)});
CREATE INDEX IF NOT EXISTS actions_of_key ON actions (key, id);
CREATE INDEX IF NOT EXISTS actions_of_model ON actions (serving, model_name, id);
CREATE TABLE IF NOT EXISTS effects (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, serving TEXT NOT NULL, model_name TEXT NOT NULL,
    action_id INTEGER NOT NULL REFERENCES actions (id), target INTEGER, fence INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS one_effect_per_attempt ON effects (action_id, coalesce(target, -1));
CREATE INDEX IF NOT EXISTS effects_of_model ON effects (serving, model_name, at);
CREATE TABLE IF NOT EXISTS audit (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, action_id INTEGER, record TEXT NOT NULL,
    mac TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS audit_of_action ON audit (action_id) WHERE action_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS audit_anchor (
    id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, mac TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS audit_is_not_changed BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER IF NOT EXISTS audit_is_not_replaced BEFORE INSERT ON audit
    WHEN NEW.seq <= (SELECT coalesce(max(seq), 0) FROM audit)
    BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER IF NOT EXISTS audit_is_not_deleted BEFORE DELETE ON audit
    WHEN OLD.seq > (SELECT coalesce(max(seq), 0) FROM audit_anchor)
    BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TABLE IF NOT EXISTS leases (
    name TEXT PRIMARY KEY, fence INTEGER NOT NULL, holder TEXT NOT NULL, boot TEXT NOT NULL, expires REAL NOT NULL,
    locked INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS pauses (
    id INTEGER PRIMARY KEY AUTOINCREMENT, serving TEXT NOT NULL, model_name TEXT NOT NULL, since REAL NOT NULL,
    until REAL, by TEXT NOT NULL, reason TEXT NOT NULL, ended_at REAL, ended_by TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS one_pause ON pauses (serving, model_name) WHERE ended_at IS NULL;
CREATE TABLE IF NOT EXISTS quarantine (
    serving TEXT NOT NULL, model_name TEXT NOT NULL, version INTEGER NOT NULL, since REAL NOT NULL,
    by TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (serving, model_name, version)
);
CREATE TABLE IF NOT EXISTS models (
    serving TEXT NOT NULL, model_name TEXT NOT NULL, epoch INTEGER NOT NULL, serves TEXT NOT NULL, wanted TEXT,
    seen_at REAL NOT NULL, PRIMARY KEY (serving, model_name)
);
CREATE TABLE IF NOT EXISTS ledger (
    id INTEGER PRIMARY KEY AUTOINCREMENT, serving TEXT NOT NULL, model_name TEXT NOT NULL, epoch INTEGER NOT NULL,
    version INTEGER NOT NULL, since REAL NOT NULL, until REAL, rolled_back INTEGER NOT NULL DEFAULT 0,
    requests REAL, bad_at REAL, good_at REAL, checksum TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS ledger_of_model ON ledger (serving, model_name, version);
CREATE TABLE IF NOT EXISTS wants (
    serving TEXT NOT NULL, model_name TEXT NOT NULL, version INTEGER NOT NULL, since REAL NOT NULL,
    PRIMARY KEY (serving, model_name, version)
);
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, action_id INTEGER NOT NULL REFERENCES actions (id), at REAL NOT NULL,
    alert TEXT NOT NULL, delivered_at REAL
);
CREATE INDEX IF NOT EXISTS outbox_of_action ON outbox (action_id);
CREATE INDEX IF NOT EXISTS outbox_pending ON outbox (id) WHERE delivered_at IS NULL;
"""  # noqa: S608 - our own enum


class JournalError(AirbagError):
    """The journal cannot be written or read now: disk full, read-only, damaged."""

    reason = "journal"
    retryable = True


class Overtaken(AirbagError):
    """Somebody else moved the action first, or already holds what it needs."""

    reason = "overtaken"


class Fenced(AirbagError):
    """Another receiver leads by now: what was to be written or done is no longer this one's."""

    reason = "fenced"


class Database:
    """The connection, shared by all threads of a process. `fence` is that of this process, 0 while it does not lead."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._bound = threading.local()
        self._last_error = ""
        self._connection = _connect(path)
        self._closed = False
        self.fence = 0

    @property
    def bound_to(self) -> int:
        """The fence that this thread is bound to, 0 for none."""
        return int(getattr(self._bound, "fence", 0))

    @contextlib.contextmanager
    def bound(self, fence: int) -> Iterator[None]:
        """Every transaction that this thread begins in the block fails with Fenced once another fence was granted."""
        before = self.bound_to
        self._bound.fence = fence
        try:
            yield
        finally:
            self._bound.fence = before

    @property
    def last_error(self) -> str:
        """Why the latest write failed; "" after one that worked."""
        return self._last_error

    def close(self) -> None:
        """Close; calls after it raise JournalError."""
        with self._lock:
            self._closed = True
            self._connection.close()

    @contextlib.contextmanager
    def write(self, about: str = "") -> Iterator[sqlite3.Connection]:
        """A transaction: all of it is on the disk when the block ends, or nothing. JournalError when it cannot be.

        Blocks may nest; the outermost commits. `about` names it for the crash tests.
        """
        with self._lock:
            if self._closed:
                raise JournalError(f"the journal {self._path} is closed")
            if self._connection.in_transaction:
                yield self._connection
                return
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                self._check_fence()
                yield self._connection
                failpoints.reached("before the commit of ", about)
                self._connection.execute("COMMIT")
            except BaseException as error:
                self._give_up()
                if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError):
                    self._last_error = str(error)
                    raise JournalError(f"cannot write the journal {self._path}: {error}") from error
                raise
            self._last_error = ""
            failpoints.reached("after the commit of ", about)

    def _check_fence(self) -> None:
        mine = self.bound_to
        if not mine:
            return
        rows = self._connection.execute("SELECT fence FROM leases WHERE name = ?", (LEADER,)).fetchall()
        if rows != [(mine,)]:
            if self.fence == mine:
                self.fence = 0
            raise Fenced(f"this receiver had fence {mine}; another one leads under fence {rows[0][0] if rows else '?'}")

    def _give_up(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # the disk that failed may also have ended the transaction
            self._connection.execute("ROLLBACK")

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows that answer `query`; Any, since columns differ in type."""
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise JournalError(f"cannot read the journal {self._path}: {error}") from error


def _connect(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"cannot open the journal {path}: {error.strerror}. Make its folder writable, or change `journal`"
        ) from error
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('schema', ?)", (SCHEMA_VERSION,))
        (found,) = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
        (torn,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if torn != "ok":
            raise sqlite3.DatabaseError(torn)
    except sqlite3.Error as error:
        raise StartError(
            f"cannot open the journal {path}: {error}. Make room or make it writable; a damaged one can be moved away"
        ) from error
    if found != SCHEMA_VERSION:
        connection.close()
        raise StartError(
            f"the journal {path} has schema {found}, this Airbag writes {SCHEMA_VERSION}. Use the Airbag that wrote it"
        )
    sync_folder(path.parent)
    return connection
