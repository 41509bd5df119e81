"""Single facts about this receiver that a restart must not forget."""

from __future__ import annotations

from airbag_rollback.journal.database import Database

_NOT_ACTING = "not_acting_since"


class Notes:
    """Rows of the table `meta`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def acting(self, acts: bool, now: float) -> float | None:
        """Take down whether the receiver may act from now on; since when it may not, or None. JournalError as usual."""
        with self._database.write("acting") as connection:
            if acts:
                connection.execute("DELETE FROM meta WHERE name = ?", (_NOT_ACTING,))
                return None
            connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (_NOT_ACTING, repr(now)))
            (since,) = connection.execute("SELECT value FROM meta WHERE name = ?", (_NOT_ACTING,)).fetchone()
            return float(since)
