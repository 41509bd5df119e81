"""What the journal forgets, and how: a part at a time, so that nothing that matters waits for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from airbag_rollback.engine.states import ENDED, REOPENS
from airbag_rollback.journal.audit import Audit
from airbag_rollback.journal.database import Database
from airbag_rollback.journal.deliveries import Deliveries

_PART = 500
_SLACK = 0.01
"""The audit is cut when its oldest record is over its time by this share: a cut is a record itself."""


class Retention:
    """Removes old deliveries, and ended actions with their records.

    Records go only from the beginning of the audit on. A record of the retention and the anchor, which hold number and
    MAC of the last one removed, let the rest be verified. An action that still holds its release back stays.
    `forgot` is called once records are gone, for what lies beside the journal.
    """

    def __init__(
        self, database: Database, audit: Audit, deliveries: Deliveries, forgot: Callable[[], None] = lambda: None
    ) -> None:
        self._database = database
        self._audit = audit
        self._deliveries = deliveries
        self._forgot = forgot

    def forget(self, now: float, keep_deliveries: float, keep_actions: float) -> bool:
        """Remove one part of what is old; whether there was anything. JournalError as usual."""
        removed = self._deliveries.prune(now - keep_deliveries, _PART)
        return bool(removed) | self._forget_actions(now, keep_actions)

    def _forget_actions(self, now: float, keep: float) -> bool:
        rows = self._database.rows("SELECT seq, at, action_id, mac FROM audit ORDER BY seq LIMIT ?", _PART)
        if not rows or rows[0][1] >= now - keep * (1 + _SLACK):
            return False
        may_go = list(self._may_go(rows, now - keep))
        if not may_go:
            return False
        through, last = may_go[-1]
        with self._database.write("retention") as connection:
            self._audit.append("retention", {"through": through, "mac": last}, now)
            connection.execute(
                "INSERT INTO audit_anchor VALUES (1, ?, ?) ON CONFLICT (id) DO UPDATE "
                "SET seq = excluded.seq, mac = excluded.mac", (through, last),
            )  # fmt: skip
            connection.execute("DELETE FROM audit WHERE seq <= ?", (through,))
            for action in self._without_records():
                for table, column in (("outbox", "action_id"), ("effects", "action_id"), ("actions", "id")):
                    connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (action,))  # noqa: S608 - our own words
        self._forgot()
        return True

    def _may_go(self, rows: list[tuple[int, float, int | None, str]], before: float) -> Iterator[tuple[int, str]]:
        """Number and MAC of each record from the beginning on, up to the first that has to stay."""
        over: dict[int | None, bool] = {None: True}
        for seq, at, action, last in rows:
            if action not in over:
                over[action] = self._is_over(action, before)
            if at >= before or not over[action]:
                return
            yield seq, last

    def _is_over(self, action: int | None, before: float) -> bool:
        """Whether the action has ended, and nothing was written about it since that moment."""
        rows = self._database.rows(
            "SELECT (SELECT state FROM actions WHERE id = ?), max(at) FROM audit WHERE action_id = ?", action, action
        )
        ((state, latest),) = rows
        return (state is None or state in set(map(str, ENDED))) and latest < before

    def _without_records(self) -> list[int]:
        """Actions that nothing in the audit tells of any more, less those that still answer for a present release."""
        rows = self._database.rows(
            "SELECT id, state, cleared_at, document, epoch FROM actions "
            "LEFT JOIN models USING (serving, model_name) "
            "WHERE NOT EXISTS (SELECT 1 FROM audit WHERE action_id = actions.id)"
        )
        return [
            number
            for number, state, cleared_at, document, epoch in rows
            if state in set(map(str, REOPENS)) or cleared_at is not None or json.loads(document)["epoch"] < (epoch or 0)
        ]
