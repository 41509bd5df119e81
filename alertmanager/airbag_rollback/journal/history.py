"""What was: questions to the journal by those who only show it."""

from __future__ import annotations

from typing import Any

import msgspec

from airbag_rollback.engine.states import ENDED
from airbag_rollback.journal.audit import Record
from airbag_rollback.journal.database import DRILL, Database
from airbag_rollback.records import Action

_ENDED = f"state IN ({', '.join(repr(str(state)) for state in sorted(ENDED))})"


class History:
    """Reads only. JournalError when the disk cannot."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self,
        limit: int,
        *,
        model: str | None = None,
        state: str | None = None,
        before: int | None = None,
        after: int | None = None,
    ) -> list[Action]:
        """At most `limit` actions, newest first: those with a number below `before`, or the next ones above `after`."""
        where, values = ["TRUE"], list[Any]()  # Any: what the database takes
        for column, value in (("model_name = ?", model), ("state = ?", state), ("id < ?", before), ("id > ?", after)):
            if value is not None:
                where.append(column)
                values.append(value)
        order = "ASC" if after is not None else "DESC"
        rows = self._database.rows(
            f"SELECT document FROM actions WHERE {' AND '.join(where)} ORDER BY id {order} LIMIT ?",  # noqa: S608 - our own text
            *values, limit,
        )  # fmt: skip
        found = [_action(document) for (document,) in rows]
        return found[::-1] if after is not None else found

    def models(self) -> list[str]:
        """The names of all models that an action was ever about."""
        return sorted(name for (name,) in self._database.rows("SELECT DISTINCT model_name FROM actions"))

    def latest_ended(self, serving: str, model: str) -> Action | None:
        """The latest action on the model that has ended; a drill is none."""
        rows = self._database.rows(
            f"SELECT document FROM actions WHERE serving = ? AND model_name = ? AND {_ENDED} AND NOT ({DRILL}) "  # noqa: S608 - our own text
            "ORDER BY id DESC LIMIT 1", serving, model,
        )  # fmt: skip
        return _action(rows[0][0]) if rows else None

    def serving_since(self) -> dict[tuple[str, str], dict[int, float]]:
        """Per serving and model: the versions that serve, each with the time since when it does."""
        found: dict[tuple[str, str], dict[int, float]] = {}
        rows = self._database.rows("SELECT serving, model_name, version, since FROM ledger WHERE until IS NULL")
        for serving, model, version, since in rows:
            found.setdefault((serving, model), {})[version] = since
        return found

    def records(self, action_id: int) -> list[Record]:
        """Every audit record about the action, in order."""
        rows = self._database.rows(
            "SELECT seq, at, kind, action_id, record, mac FROM audit WHERE action_id = ? ORDER BY seq", action_id
        )
        return [Record(*row) for row in rows]


def _action(document: bytes) -> Action:
    return msgspec.json.decode(document, type=Action)
