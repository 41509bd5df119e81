"""Alerts about outcomes, written with the transition that they tell of and delivered later."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from airbag_rollback.journal.database import Database
from airbag_rollback.outcomes import stamp, still_shown


@dataclass(frozen=True)
class Message:
    """One alert to post, in the form that Alertmanager takes."""

    id: int
    alert: dict[str, Any]  # Any: the JSON of Alertmanager's API


class Outbox:
    """The table `outbox`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, action_id: int, alert: dict[str, Any], now: float) -> None:
        """Add a message; inside a transaction it stands or falls with that."""
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO outbox (action_id, at, alert) VALUES (?, ?, ?)", (action_id, now, json.dumps(alert))
            )

    def pending(self) -> list[Message]:
        """Messages that nobody took yet, oldest first."""
        rows = self._database.rows("SELECT id, alert FROM outbox WHERE delivered_at IS NULL ORDER BY id LIMIT 100")
        return [Message(number, json.loads(alert)) for number, alert in rows]

    def posted_at(self, action_id: int) -> float | None:
        """When the first message about the action was taken; None while nobody took it, and once it is pruned."""
        rows = self._database.rows("SELECT delivered_at FROM outbox WHERE action_id = ? ORDER BY id LIMIT 1", action_id)
        return rows[0][0] if rows else None

    def is_seen(self, key: str, now: float) -> bool:
        """Whether the newest message about an action of that key is shown to people, or still will be."""
        rows = self._database.rows(
            "SELECT alert, delivered_at FROM outbox JOIN actions ON actions.id = action_id WHERE key = ? "
            "ORDER BY outbox.id DESC LIMIT 1", key,
        )  # fmt: skip
        return any(at is None or still_shown(json.loads(alert), at)["endsAt"] > stamp(now) for alert, at in rows)

    def delivered(self, message: Message, now: float) -> None:
        """Never send it again."""
        with self._database.write("outbox") as connection:
            connection.execute("UPDATE outbox SET delivered_at = ? WHERE id = ?", (now, message.id))
