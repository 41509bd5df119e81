"""Single facts about this receiver that a restart must not forget."""

from __future__ import annotations

from airbag_rollback.journal.database import Database

_NOT_ACTING = "not_acting_since"


class Notes:
    """Rows of the table `meta`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def since(self, name: str, now: float | None) -> float | None:
        """Take down that something is so from `now` on, if it was not already; None: it no longer is. Since when."""
        noted = self.noted(name)
        if (noted is None) == (now is None):
            return noted
        with self._database.write("since") as connection:
            connection.execute("DELETE FROM meta WHERE name = ?", (name,))
            if now is not None:
                connection.execute("INSERT INTO meta VALUES (?, ?)", (name, repr(now)))
        return now

    def noted(self, name: str) -> float | None:
        """Since when it is so; None when it is not."""
        rows = self._database.rows("SELECT value FROM meta WHERE name = ?", name)
        return float(rows[0][0]) if rows else None

    def acting(self, acts: bool, now: float) -> float | None:
        """Take down whether the receiver may act from now on; since when it may not, or None. JournalError as usual."""
        with self._database.write("acting") as connection:
            if acts:
                connection.execute("DELETE FROM meta WHERE name = ?", (_NOT_ACTING,))
                return None
            connection.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING", (_NOT_ACTING, repr(now)))
            ((since,),) = connection.execute("SELECT value FROM meta WHERE name = ?", (_NOT_ACTING,)).rows
            return float(since)
