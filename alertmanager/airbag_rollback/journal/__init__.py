"""What must survive a crash: deliveries, actions with their events, what served when, messages to send."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from airbag_rollback.journal.actions import Actions
from airbag_rollback.journal.database import Database, JournalError, Overtaken
from airbag_rollback.journal.deliveries import Deliveries
from airbag_rollback.journal.ledger import Ledger
from airbag_rollback.journal.notes import Notes
from airbag_rollback.journal.outbox import Outbox

__all__ = ["Journal", "JournalError", "Overtaken", "open_journal"]


@dataclass(frozen=True)
class Journal:
    """The parts of the journal; they share one database and its transactions."""

    database: Database
    deliveries: Deliveries
    actions: Actions
    ledger: Ledger
    outbox: Outbox
    notes: Notes

    def close(self) -> None:
        """Close the database and let another process have it."""
        self.database.close()


def open_journal(path: Path) -> Journal:
    """Open or create the journal; StartError when it cannot be written or another process holds it."""
    database = Database(path)
    outbox = Outbox(database)
    ledger = Ledger(database)
    actions = Actions(database, outbox, ledger)
    return Journal(database, Deliveries(database), actions, ledger, outbox, Notes(database))
