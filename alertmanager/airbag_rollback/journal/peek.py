"""Reading the receiver's journal from outside, while the receiver holds it or not. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from airbag_rollback.engine.states import ENDED
from airbag_rollback.journal.audit import Audit
from airbag_rollback.journal.database import Database, JournalError
from airbag_rollback.journal.ledger import Ledger
from airbag_rollback.journal.opening import open_reader
from airbag_rollback.place import Place


class Peek:
    """What a person's command may know from the journal."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.ledger = Ledger(database)
        self.audit = Audit(database, b"")

    def still(self) -> AbstractContextManager[None]:
        """What is read in the block is of one moment, whatever the receiver writes meanwhile."""
        return self._database.still()

    def under_way(self, serving: str, model: str) -> str:
        """The action on that model that has not ended, as text; "" when there is none."""
        rows = self._database.rows(
            "SELECT id, state FROM actions WHERE serving = ? AND model_name = ? ORDER BY id DESC", serving, model
        )
        return next((f"action #{action} is {state}" for action, state in rows if state not in set(map(str, ENDED))), "")


@contextmanager
def peek(place: Place) -> Iterator[Peek]:
    """Open the journal for reading. JournalError when it is not there or cannot be read."""
    database = open_reader(place)
    try:
        rows = database.rows("SELECT value FROM meta WHERE name = 'schema'")
        if rows != [(str(database.schema),)]:
            raise JournalError(f"the journal {database.name} was written by another version of Airbag")
        yield Peek(database)
    finally:
        database.close()
