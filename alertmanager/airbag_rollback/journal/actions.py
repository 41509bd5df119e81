"""Actions and their events. A transition is one write that succeeds for exactly one writer."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any

import msgspec

from airbag_rollback.engine.states import ENDED, REOPENS, TOUCHING, State, check
from airbag_rollback.journal.database import Database, Overtaken
from airbag_rollback.journal.ledger import Ledger
from airbag_rollback.journal.outbox import Outbox
from airbag_rollback.outcomes import outcome_alert
from airbag_rollback.records import Action, Event, Suspect, action_key

_OPEN = f"state NOT IN ({', '.join(repr(str(state)) for state in sorted(ENDED))})"
_TOUCHING = f"state IN ({', '.join(repr(str(state)) for state in sorted(TOUCHING))})"


class Actions:
    """The tables `actions` and `events`."""

    def __init__(self, database: Database, outbox: Outbox, ledger: Ledger) -> None:
        self._database = database
        self._outbox = outbox
        self._ledger = ledger

    def open_for(self, suspect: Suspect, received_at: float, deadline: float) -> tuple[Action, bool]:
        """The action that answers for this suspect in the present epoch, and whether it is new.

        An action that is open, has succeeded or waits for a person takes the alert as one more report.
        """
        with self._database.write() as connection:
            epoch = self._ledger.epoch(suspect.serving, suspect.model_name)
            action = Action(
                0, action_key(suspect, epoch), suspect.serving, suspect.model_name, suspect.version, epoch,
                suspect.alertname, State.RECEIVED, 1, deadline, alert_at=suspect.alert_at, received_at=received_at,
            )  # fmt: skip
            try:
                cursor = connection.execute(
                    "INSERT INTO actions (key, serving, model_name, state, rev, document) VALUES (?, ?, ?, ?, ?, ?)",
                    (action.key, action.serving, action.model_name, action.state, action.rev, b""),
                )
            except sqlite3.IntegrityError:
                return self._of_key(action.key), False
            action = replace(action, id=int(cursor.lastrowid or 0))
            connection.execute("UPDATE actions SET document = ? WHERE id = ?", (_document(action), action.id))
            self._event(connection, action, "", received_at)
            return action, True

    # Any below: the fields of Action, checked by `replace`.
    def move(self, action: Action, to: State, now: float, reason: str = "", text: str = "", **changes: Any) -> Action:
        """Write the transition with its event and, at an end, the message about it.

        IllegalTransition when the table forbids it; Overtaken when the action is not what the caller believes or
        another action already touches the same model; JournalError when the disk does not take it.
        """
        check(action.state, to)
        ended_at = now if to in ENDED else None
        moved = replace(
            action, state=to, rev=action.rev + 1, reason=reason, text=text, ended_at=ended_at, **changes
        )  # fmt: skip
        with self._database.write() as connection:
            repeated = self._tells_nothing_new(moved)
            self._write(connection, action, moved)
            self._event(connection, moved, action.state, now)
            if to is State.ARMED:
                self._ledger.rolled_back(action.serving, action.model_name, action.bad_version)
            alert = None if repeated else outcome_alert(moved, now)
            if alert:
                self._outbox.put(moved.id, alert, now)
        return moved

    def note(self, action: Action, **changes: Any) -> Action:
        """Write something about the action without moving it. Raises as `move` does."""
        noted = replace(action, rev=action.rev + 1, **changes)
        with self._database.write() as connection:
            self._write(connection, action, noted)
        return noted

    def get(self, action_id: int) -> Action | None:
        """One action, or None."""
        rows = self._database.rows("SELECT document FROM actions WHERE id = ?", action_id)
        return _action(rows[0][0]) if rows else None

    def busy(self, action: Action) -> bool:
        """Whether another action touches the same model."""
        rows = self._database.rows(
            f"SELECT 1 FROM actions WHERE serving = ? AND model_name = ? AND id != ? AND {_TOUCHING}",  # noqa: S608 - built from our own enum
            action.serving, action.model_name, action.id,
        )  # fmt: skip
        return bool(rows)

    def open(self) -> list[Action]:
        """Every action that has not ended, oldest first."""
        rows = self._database.rows(f"SELECT document FROM actions WHERE {_OPEN} ORDER BY id")  # noqa: S608 - our own enum
        return [_action(row) for (row,) in rows]

    def latest(self, limit: int = 100) -> list[Action]:
        """The latest actions, newest first."""
        return [
            _action(row)
            for (row,) in self._database.rows("SELECT document FROM actions ORDER BY id DESC LIMIT ?", limit)
        ]

    def latest_that_need_a_human(self) -> list[Action]:
        """The latest action of every model for which that one ended with a call for a person."""
        rows = self._database.rows(
            "SELECT document FROM actions WHERE state = ? "
            "AND id IN (SELECT max(id) FROM actions GROUP BY serving, model_name)",
            State.NEEDS_HUMAN,
        )
        return [_action(row) for (row,) in rows]

    def events(self, action_id: int) -> list[Event]:
        """The transitions of one action, in order."""
        rows = self._database.rows(
            "SELECT at, before, after, reason, text FROM events WHERE action_id = ? ORDER BY seq", action_id
        )
        return [Event(*row) for row in rows]

    def _of_key(self, key: str) -> Action:
        rows = self._database.rows("SELECT document FROM actions WHERE key = ? ORDER BY id DESC", key)
        return next(action for action in map(_action, (row for (row,) in rows)) if action.state not in REOPENS)

    def _tells_nothing_new(self, moved: Action) -> bool:
        """Whether the action before it, for the same release, ended the same way: people were told once."""
        rows = self._database.rows(
            "SELECT document FROM actions WHERE key = ? AND id < ? ORDER BY id DESC LIMIT 1", moved.key, moved.id
        )
        return any((_action(row).state, _action(row).reason) == (moved.state, moved.reason) for (row,) in rows)

    def _write(self, connection: sqlite3.Connection, before: Action, after: Action) -> None:
        try:
            cursor = connection.execute(
                "UPDATE actions SET state = ?, rev = ?, document = ? WHERE id = ? AND rev = ?",
                (after.state, after.rev, _document(after), before.id, before.rev),
            )
        except sqlite3.IntegrityError as error:
            raise Overtaken(f"another action already touches {before.model_name} on {before.serving}") from error
        if cursor.rowcount != 1:
            raise Overtaken(f"action {before.id} moved on while it was at {before.state}")

    def _event(self, connection: sqlite3.Connection, action: Action, before: str, now: float) -> None:
        connection.execute(
            "INSERT INTO events (action_id, at, before, after, reason, text) VALUES (?, ?, ?, ?, ?, ?)",
            (action.id, now, before, action.state, action.reason, action.text),
        )


def _document(action: Action) -> bytes:
    return msgspec.json.encode(action)


def _action(document: bytes) -> Action:
    return msgspec.json.decode(document, type=Action)
