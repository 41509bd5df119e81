"""Who paused what."""

from __future__ import annotations

from dataclasses import dataclass

from airbag_rollback.journal.audit import Audit
from airbag_rollback.journal.database import Database

ALL = "*"


@dataclass(frozen=True)
class Pause:
    """Nothing is rolled back by itself on `serving`/`model_name` (`*` for all) until `until`, or until it is ended."""

    serving: str
    model_name: str
    since: float
    until: float | None
    by: str
    reason: str

    def __str__(self) -> str:
        return f"by {self.by}" + (f": {self.reason}" if self.reason else "")


class Pauses:
    """The table `pauses`."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit

    def begin(self, pause: Pause) -> None:
        """Take the place of the pause with the same scope, if there is one."""
        with self._database.write("pause") as connection:
            self._end(pause.serving, pause.model_name, pause.by, pause.since)
            connection.execute(
                "INSERT INTO pauses (serving, model_name, since, until, by, reason) VALUES (?, ?, ?, ?, ?, ?)",
                (pause.serving, pause.model_name, pause.since, pause.until, pause.by, pause.reason),
            )
            told = {"serving": pause.serving, "model_name": pause.model_name, "until": pause.until}
            self._audit.append("paused", told | {"by": pause.by, "reason": pause.reason}, pause.since)

    def end(self, serving: str, model_name: str, by: str, now: float) -> bool:
        """End the pause with exactly this scope; whether there was one."""
        with self._database.write("resume"):
            ended = self._end(serving, model_name, by, now)
            if ended:
                self._audit.append("resumed", {"serving": serving, "model_name": model_name, "by": by}, now)
            return ended

    def _end(self, serving: str, model_name: str, by: str, now: float) -> bool:
        with self._database.write() as connection:
            ended = connection.execute(
                "UPDATE pauses SET ended_at = ?, ended_by = ? "
                "WHERE serving = ? AND model_name = ? AND ended_at IS NULL",
                (now, by, serving, model_name),
            )
            return ended.count > 0

    def present(self, now: float) -> list[Pause]:
        """Every pause that holds now, oldest first."""
        rows = self._database.rows(
            "SELECT serving, model_name, since, until, by, reason FROM pauses "
            "WHERE ended_at IS NULL AND (until IS NULL OR until > ?) ORDER BY id", now,
        )  # fmt: skip
        return [Pause(*row) for row in rows]

    def on(self, serving: str, model_name: str, now: float) -> str:
        """Who paused this model, and why; "" when nobody did."""
        return next(
            (str(each) for each in self.present(now)
             if each.serving in (ALL, serving) and each.model_name in (ALL, model_name)), "",
        )  # fmt: skip
