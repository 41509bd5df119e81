"""Webhook bodies: durable before they are answered, admitted by the worker later."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import takewhile

from airbag_rollback.journal.database import Database
from airbag_rollback.records import Delivery


class Deliveries:
    """The table `deliveries`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def accept(self, body: bytes, now: float) -> int:
        """Put a body on the disk and return its number. JournalError when it cannot be."""
        with self._database.write("accept") as connection:
            inserted = connection.execute(
                "INSERT INTO deliveries (received_at, body) VALUES (?, ?) RETURNING id", (now, body)
            )
            return int(inserted.rows[0][0])

    def pending(self) -> list[Delivery]:
        """The deliveries that no worker has looked at yet, oldest first."""
        rows = self._database.rows(
            "SELECT id, received_at, body FROM deliveries WHERE admitted_at IS NULL ORDER BY id LIMIT 100"
        )
        return [Delivery(*row) for row in rows]

    def admitted(self, delivery: Delivery, results: Sequence[str], now: float) -> None:
        """Record what became of each alert of the delivery."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE deliveries SET admitted_at = ?, results = ? WHERE id = ?",
                (now, json.dumps(list(results)), delivery.id),
            )

    def results(self, delivery_id: int) -> list[str] | None:
        """What became of each alert; None while nobody looked."""
        rows = self._database.rows("SELECT results FROM deliveries WHERE id = ?", delivery_id)
        return json.loads(rows[0][0]) if rows and rows[0][0] else None

    def prune(self, before: float, limit: int = 500) -> int:
        """Forget the oldest deliveries that were admitted before that moment; how many, at most `limit`."""
        rows = self._database.rows("SELECT id, admitted_at FROM deliveries ORDER BY id LIMIT ?", limit)
        old = [(number,) for number, _ in takewhile(lambda row: row[1] is not None and row[1] < before, rows)]
        if old:
            with self._database.write("prune") as connection:
                connection.executemany("DELETE FROM deliveries WHERE id = ?", old)
        return len(old)
