"""Versions that nobody may go back to, whoever asks."""

from __future__ import annotations

from airbag_rollback.journal.audit import Audit
from airbag_rollback.journal.database import Database


class Quarantine:
    """The table `quarantine`."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit

    def put(self, serving: str, model_name: str, version: int, by: str, reason: str, now: float) -> None:
        """Quarantine a version; again for one that is there changes the reason."""
        with self._database.write("quarantine") as connection:
            connection.execute(
                "INSERT INTO quarantine VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (serving, model_name, version) DO UPDATE "
                "SET since = excluded.since, by = excluded.by, reason = excluded.reason",
                (serving, model_name, version, now, by, reason),
            )
            fields = {"serving": serving, "model_name": model_name, "version": version, "by": by, "reason": reason}
            self._audit.append("quarantined", fields, now)

    def lift(self, serving: str, model_name: str, version: int, by: str, now: float) -> bool:
        """Let it be gone back to again; whether it was there."""
        with self._database.write("quarantine") as connection:
            lifted = connection.execute(
                "DELETE FROM quarantine WHERE serving = ? AND model_name = ? AND version = ?",
                (serving, model_name, version),
            )
            if lifted.count:
                fields = {"serving": serving, "model_name": model_name, "version": version, "by": by}
                self._audit.append("quarantine lifted", fields, now)
            return lifted.count > 0

    def of(self, serving: str, model_name: str) -> dict[int, str]:
        """Each quarantined version of the model, with who put it there and why."""
        rows = self._database.rows(
            "SELECT version, by, reason FROM quarantine WHERE serving = ? AND model_name = ?", serving, model_name
        )
        return {version: f"by {by}" + (f", {reason}" if reason else "") for version, by, reason in rows}
