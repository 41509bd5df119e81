"""The file of the SQLite ledger: held by one process, made whole, and refused when it is not what it should be."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from airbag.disk import lock_file, sync_folder
from airbag.errors import StartError

NAME = "quality.db"
_APPLICATION = 0x41424C47  # marks the file as ours, also for `file`
SCHEMA_VERSION = 1
_PAGE = 16384
_WAL_BYTES = 32 << 20
_SCHEMA = """
CREATE TABLE runs (first INTEGER PRIMARY KEY, rows INTEGER NOT NULL, waiting INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE marks (seq INTEGER PRIMARY KEY, tail INTEGER NOT NULL, positions BLOB NOT NULL);
CREATE INDEX marks_by_tail ON marks (tail);
CREATE TABLE extras (position INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE early (position INTEGER PRIMARY KEY, key INTEGER NOT NULL, since REAL NOT NULL, data BLOB NOT NULL);
CREATE TABLE heads (one INTEGER PRIMARY KEY CHECK (one = 1), waiting INTEGER NOT NULL, early INTEGER NOT NULL);
CREATE TABLE owners (number INTEGER PRIMARY KEY, serving TEXT NOT NULL, model TEXT NOT NULL, version TEXT NOT NULL);
CREATE TABLE blocks (name TEXT PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE cursors (name TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO heads VALUES (1, 0, 0);
"""


def damaged(path: Path, what: object) -> StartError:
    """The file cannot be trusted; an empty one in its place would let counters fall unseen."""
    return StartError(
        f"the quality ledger {path} is damaged: {what}. Put a copy of it back, or move it away with its -wal file: "
        "then the counters start at 0, and predictions that wait for their label are lost"
    )


def hold(folder: Path) -> int:
    """Lock the ledger of this folder until the handle is closed; StartError when another process has it."""
    try:
        return lock_file(folder / f"{NAME}.lock")
    except BlockingIOError as error:
        raise StartError(
            f"another quality exporter keeps its ledger in {folder}. End it, give this one a `state_folder` of its "
            "own, or let both share one Redis (`quality.redis`)"
        ) from error
    except OSError as error:
        raise StartError(
            f"cannot use quality.state_folder {folder}: {error.strerror}. Make it a folder that can be written"
        ) from error


def connect(folder: Path) -> sqlite3.Connection:
    """The open file, new where there was none. StartError when it is not usable; it is never replaced."""
    path = folder / NAME
    try:
        if not path.exists():
            _create(path)
        elif not path.stat().st_size:
            raise damaged(path, "it is empty")
        return _opened(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # locked, read-only, no room
            raise StartError(
                f"cannot open the quality ledger {path}: {error}. Make room, or make it writable"
            ) from error
        raise damaged(path, error) from error
    except OSError as error:
        raise StartError(f"cannot open the quality ledger {path}: {error.strerror}. Make room there") from error


def _create(path: Path) -> None:
    """Under another name first, so that a file of the right name is always whole."""
    if (wal := path.with_name(f"{NAME}-wal")).exists():
        raise damaged(path, f"it is gone, but {wal.name} is still there")
    arriving = path.with_name(f"{NAME}.new")
    arriving.unlink(missing_ok=True)
    os.close(os.open(arriving, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))  # ids are hashed, translations are not
    with contextlib.closing(sqlite3.connect(arriving, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size={_PAGE}")
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute(f"PRAGMA application_id={_APPLICATION}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        connection.executescript(f"BEGIN;{_SCHEMA}COMMIT;")
    arriving.replace(path)
    sync_folder(path.parent)


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=2.0)
    try:
        _refuse_others(connection, path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA secure_delete=FAST")  # Debian turns it on: every row that goes is written once more
        connection.execute(f"PRAGMA wal_autocheckpoint={_WAL_BYTES // _PAGE}")
        connection.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_others(connection: sqlite3.Connection, path: Path) -> None:
    ((application,), (version,)) = (
        connection.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")
    )
    if application != _APPLICATION:
        raise StartError(f"{path} is no quality ledger. Move it away, or change `quality.state_folder`")
    if version != SCHEMA_VERSION:
        raise StartError(
            f"the quality ledger {path} has schema {version}, this Airbag writes {SCHEMA_VERSION}. Use the Airbag that "
            "wrote it, or move the file away: then the counters start at 0"
        )
