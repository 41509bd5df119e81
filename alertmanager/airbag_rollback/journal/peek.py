"""Reading the receiver's journal from outside, while the receiver holds it or not. Changes nothing."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from airbag_rollback.engine.states import ENDED
from airbag_rollback.journal.audit import Audit
from airbag_rollback.journal.database import SCHEMA_VERSION, Database, JournalError
from airbag_rollback.journal.ledger import Ledger


class ReadOnly(Database):
    """The journal's database without its lock. Writing raises JournalError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._last_error = ""
        try:
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0, isolation_level=None
            )
        except sqlite3.Error as error:
            raise JournalError(f"cannot read the journal {path}: {error}") from error

    def close(self) -> None:
        self._connection.close()

    def write(self, about: str = "") -> NoReturn:  # noqa: ARG002 - as Database has it
        raise JournalError(f"the journal {self._path} is only read here")


class Peek:
    """What a person's command may know from the journal."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.ledger = Ledger(database)
        self.audit = Audit(database, b"")

    @contextmanager
    def still(self) -> Iterator[None]:
        """What is read in the block is of one moment, whatever the receiver writes meanwhile."""
        self._database.rows("BEGIN")
        try:
            yield
        finally:
            self._database.rows("ROLLBACK")

    def under_way(self, serving: str, model: str) -> str:
        """The action on that model that has not ended, as text; "" when there is none."""
        rows = self._database.rows(
            "SELECT id, state FROM actions WHERE serving = ? AND model_name = ? ORDER BY id DESC", serving, model
        )
        return next((f"action #{action} is {state}" for action, state in rows if state not in set(map(str, ENDED))), "")


@contextmanager
def peek(path: Path) -> Iterator[Peek]:
    """Open the journal for reading. JournalError when it is not there or cannot be read."""
    if not path.exists():
        raise JournalError(f"there is no journal at {path}")
    database = ReadOnly(path)
    try:
        rows = database.rows("SELECT value FROM meta WHERE name = 'schema'")
        if rows != [(SCHEMA_VERSION,)]:
            raise JournalError(f"the journal {path} was written by another version of Airbag")
        yield Peek(database)
    finally:
        database.close()
