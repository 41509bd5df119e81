"""The journal in one SQLite file; several processes of one host may share it."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from airbag.disk import sync_folder
from airbag.errors import StartError
from airbag_rollback import failpoints
from airbag_rollback.journal.database import Database, JournalError, Result, Violated
from airbag_rollback.journal.migrations import MIGRATIONS, Migration, ahead, current, failed
from airbag_rollback.journal.schema import FIRST, TABLES, TRIGGERS

log = logging.getLogger("airbag.receiver.journal")


class SqliteDatabase(Database):
    """WAL with synchronous=FULL."""

    def __init__(self, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        """Open or create the file and take it to the present schema; StartError when that cannot be."""
        super().__init__(str(path), current(migrations))
        self._connection = _connect(path, migrations)

    def execute(self, query: str, values: Sequence[object] = ()) -> Result:
        try:
            cursor = self._connection.execute(query, values)
            return Result(cursor.fetchall(), cursor.rowcount)
        except sqlite3.IntegrityError as error:
            raise Violated(str(error)) from error
        except sqlite3.Error as error:
            raise JournalError(f"cannot {self._doing} the journal {self.name}: {error}") from error

    @property
    def _doing(self) -> str:
        return "write" if self._writing else "read"

    def _begin(self) -> None:
        self.execute("BEGIN IMMEDIATE")

    def _commit(self) -> None:
        self.execute("COMMIT")

    def _give_up(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # the disk that failed may also have ended the transaction
            self._connection.execute("ROLLBACK")

    def _close(self) -> None:
        self._connection.close()

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        self.rows("BEGIN")
        try:
            yield
        finally:
            self._give_up()


class SqliteReader(SqliteDatabase):
    """The same file for reading, beside a receiver that may hold it. Writing raises JournalError."""

    def __init__(self, path: Path) -> None:
        Database.__init__(self, str(path), current())
        if not path.exists():
            raise JournalError(f"there is no journal at {path}")
        try:
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0, isolation_level=None
            )
        except sqlite3.Error as error:
            raise JournalError(f"cannot read the journal {path}: {error}") from error

    def _begin(self) -> None:
        raise JournalError(f"the journal {self.name} is only read here")


def _connect(path: Path, migrations: Sequence[Migration]) -> sqlite3.Connection:
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
        found = _create(connection)
        (torn,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if torn != "ok":
            raise sqlite3.DatabaseError(torn)
    except sqlite3.Error as error:
        raise StartError(
            f"cannot open the journal {path}: {error}. Make room or make it writable; a damaged one can be moved away"
        ) from error
    try:
        for number, migration in ahead(str(path), found, migrations):
            _migrate(connection, path, number, migration)
    except BaseException:
        connection.close()
        raise
    sync_folder(path.parent)
    return connection


@contextlib.contextmanager
def _making(connection: sqlite3.Connection, what: str) -> Iterator[None]:
    """A transaction as the only writer, before there is a journal."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        failpoints.reached("before the commit of ", what)
        connection.execute("COMMIT")
        failpoints.reached("after the commit of ", what)
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _create(connection: sqlite3.Connection) -> str:
    """The schema that is there; the first one is made where there is none."""
    if not _is_made(connection):
        with _making(connection, "the first schema"):
            if not _is_made(connection):  # another process may have been faster
                for statement in (*TABLES, *TRIGGERS):
                    connection.execute(statement)
                connection.execute("INSERT INTO meta VALUES ('schema', ?)", (str(FIRST),))
    return _schema(connection)


def _is_made(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchall())


def _schema(connection: sqlite3.Connection) -> str:
    rows = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchall()
    return str(rows[0][0]) if rows else "unknown"


def _migrate(connection: sqlite3.Connection, path: Path, number: int, migration: Migration) -> None:
    """One schema further, unless another process was faster. What was there before is kept beside the journal."""
    copy = path.with_name(f"{path.name}.schema-{number}.bak")
    said = ""
    try:
        with _making(connection, f"schema {number + 1}"):
            if _schema(connection) != str(number):
                return
            if connection.execute("SELECT 1 FROM audit UNION ALL SELECT 1 FROM deliveries LIMIT 1").fetchall():
                _back_up(path, copy)
                said = f"; a copy is {copy}"
            for statement in migration.statements:
                connection.execute(statement)
            connection.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (str(number + 1),))
    except (sqlite3.Error, OSError) as error:
        raise failed(str(path), number, error, said) from error
    log.info(f"the journal is of schema {number + 1} now: {migration.about}", extra={"copy": str(copy) if said else ""})


def _back_up(path: Path, copy: Path) -> None:
    """Copy what is committed, whole or not at all, while the caller keeps all other writers out."""
    new = copy.with_name(f".{copy.name}.new")
    new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with contextlib.closing(sqlite3.connect(path)) as old, contextlib.closing(sqlite3.connect(new)) as made:
            old.backup(made)
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(copy)
        sync_folder(copy.parent)
    finally:
        new.unlink(missing_ok=True)
