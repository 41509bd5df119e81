"""What must survive a crash: deliveries, actions with their events, what served when, messages to send."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airbag_rollback.journal.actions import Actions
from airbag_rollback.journal.audit import Audit
from airbag_rollback.journal.database import Database, Fenced, JournalError, Overtaken, Violated
from airbag_rollback.journal.deliveries import Deliveries
from airbag_rollback.journal.lease import Lease
from airbag_rollback.journal.ledger import Ledger
from airbag_rollback.journal.notes import Notes
from airbag_rollback.journal.opening import open_database, reports_of, succession_of
from airbag_rollback.journal.outbox import Outbox
from airbag_rollback.journal.pauses import Pauses
from airbag_rollback.journal.quarantine import Quarantine
from airbag_rollback.journal.reports import Reports
from airbag_rollback.place import Place

__all__ = ["Fenced", "Journal", "JournalError", "Overtaken", "Violated", "open_journal"]


@dataclass(frozen=True)
class Journal:
    """The parts of the journal; they share one database and its transactions."""

    database: Database
    deliveries: Deliveries
    actions: Actions
    ledger: Ledger
    outbox: Outbox
    notes: Notes
    audit: Audit
    pauses: Pauses
    quarantine: Quarantine
    lease: Lease
    reports: Reports

    def close(self) -> None:
        """Give the lease up, so that a standby follows at once, and close the database."""
        self.lease.give_up()
        self.database.close()


def open_journal(place: Place, audit_key: bytes, floor: Callable[[], int] = lambda: 0) -> Journal:
    """Open or create the journal; StartError when it cannot be written. Others may have it open as well.

    `floor` gives the highest fence that the world has seen, for the day when the journal was moved away.
    """
    database = open_database(place)
    audit, outbox, ledger = Audit(database, audit_key), Outbox(database), Ledger(database)
    return Journal(
        database, Deliveries(database), Actions(database, outbox, ledger, audit), ledger, outbox, Notes(database),
        audit, Pauses(database, audit), Quarantine(database, audit), Lease(database, succession_of(place), floor),
        Reports(reports_of(place, database), database, audit),
    )  # fmt: skip
