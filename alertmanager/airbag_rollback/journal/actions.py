"""Actions and their events. A transition is one write that succeeds for exactly one writer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from airbag_rollback.engine.guards import Past
from airbag_rollback.engine.states import ENDED, REOPENS, TOUCHING, State, check
from airbag_rollback.journal.audit import Audit
from airbag_rollback.journal.database import DRILL, Database, Overtaken, Statements, Violated
from airbag_rollback.journal.ledger import Ledger
from airbag_rollback.journal.outbox import Outbox
from airbag_rollback.outcomes import is_over, messages
from airbag_rollback.records import Action, Event, Suspect, action_key

_OPEN = f"state NOT IN ({', '.join(repr(str(state)) for state in sorted(ENDED))})"
_TOUCHING = f"state IN ({', '.join(repr(str(state)) for state in sorted(TOUCHING))})"


_NONE = -2
"""A target that no effect has; -1 is that of an action without one."""

_ECHO = 120.0
"""Seconds for which alerts about a version that was taken away are taken for echoes of the same trouble."""

_PAST = 7 * 86_400.0
"""Seconds that the longest window of a budget may reach back."""


class Actions:
    """The tables `actions` and `effects`. Every transition is an audit record too."""

    def __init__(self, database: Database, outbox: Outbox, ledger: Ledger, audit: Audit) -> None:
        self._database = database
        self._outbox = outbox
        self._ledger = ledger
        self._audit = audit

    def open_for(self, suspect: Suspect, received_at: float, deadline: float) -> tuple[Action, bool]:
        """The action that answers for this suspect in the present epoch, and whether it is new.

        An action that is open, has succeeded, was cancelled or waits for a person takes the alert as one more report.
        So does the one that took this version away: its alerts go on for a while after it.
        """
        with self._database.write():
            epoch = self._ledger.epoch(suspect.serving, suspect.model_name)
            before = self._took_away(suspect, received_at)
            if before is not None:
                return before, False
            action = Action(
                0, action_key(suspect, epoch), suspect.serving, suspect.model_name, suspect.version, epoch,
                suspect.alertname, State.RECEIVED, 1, deadline, alert_at=suspect.alert_at, received_at=received_at,
            )  # fmt: skip
            return self._insert(action, received_at)

    def order(self, action: Action, now: float) -> tuple[Action, bool]:
        """The action that a person or a drill asks for, and whether it is new: what is open answers for both.

        `action` comes without id and key.
        """
        with self._database.write("order"):
            epoch = self._ledger.epoch(action.serving, action.model_name)
            asked = f"{action.serving}/{action.model_name}/{epoch}/{action.bad_version}/{action.source}"
            if action.source == "drill":  # one may follow another
                asked += f"/{now}"
            return self._insert(replace(action, key=asked, epoch=epoch), now)

    def _insert(self, action: Action, now: float) -> tuple[Action, bool]:
        with self._database.write() as connection:
            before = self._of_key(action.key)
            if before is not None:
                return before, False
            inserted = connection.execute(
                "INSERT INTO actions (key, serving, model_name, state, rev, document) VALUES (?, ?, ?, ?, ?, ?) "
                "RETURNING id", (action.key, action.serving, action.model_name, action.state, action.rev, b""),
            )  # fmt: skip
            action = replace(action, id=inserted.rows[0][0])
            connection.execute("UPDATE actions SET document = ? WHERE id = ?", (_document(action), action.id))
            self._audit.transition(action, "", now, by=action.asked_by)
            return action, True

    def _took_away(self, suspect: Suspect, received_at: float) -> Action | None:
        """The action that is taking this very version out of service, has just taken it, or called a person over it.

        What it wrote made a new epoch, so that the key does not tell.
        """
        rows = self._database.rows(
            f"SELECT document FROM actions WHERE serving = ? AND model_name = ? AND NOT ({DRILL}) "  # noqa: S608 - our own
            "ORDER BY id DESC LIMIT 1", suspect.serving, suspect.model_name,
        )  # fmt: skip
        for action in (_action(document) for (document,) in rows):
            touched = action.effect == "real" and (action.armed_at is not None or bool(action.tried))
            if action.bad_version == suspect.version and touched and self._answers(action, received_at):
                return action
        return None

    def _answers(self, action: Action, received_at: float) -> bool:
        """Whether one more alert about the version that this action took away, or tried to, says nothing new."""
        if action.state is State.SUCCEEDED:
            gone = action.bad_version not in self._ledger.serves(action.serving, action.model_name)
            return gone and received_at <= (action.ended_at or 0.0) + _ECHO
        if action.state is State.NEEDS_HUMAN and action.cleared_at is None:
            present = self._ledger.wanted(action.serving, action.model_name)
            return action.still_stands(self._ledger.epoch(action.serving, action.model_name), present)
        return action.state in TOUCHING

    # Any below: the fields of Action, checked by `replace`.
    def move(
        self, action: Action, to: State, now: float, reason: str = "", text: str = "", *, by: str = "", **changes: Any
    ) -> Action:
        """Write the transition with its audit record and, where people should hear of it, the message about it.

        IllegalTransition when the table forbids it; Overtaken when the action is not what the caller believes or
        another action already touches the same model; JournalError when the disk does not take it.
        """
        check(action.state, to)
        ended_at = now if to in ENDED else None
        moved = replace(
            action, state=to, rev=action.rev + 1, reason=reason, text=text, ended_at=ended_at, **changes
        )  # fmt: skip
        with self._database.write(f"{action.state}>{to}") as connection:
            repeated = to in ENDED and moved.source == "alert" and self._tells_nothing_new(moved, now)
            self._write(action, moved)
            self._audit.transition(moved, action.state, now, by=by)
            if to is State.ARMED:
                self._arm(connection, moved, now)
            for alert in messages(action, moved, now):
                if not repeated or is_over(alert):
                    self._outbox.put(moved.id, alert, now)
        return moved

    def _arm(self, connection: Statements, action: Action, now: float) -> None:
        connection.execute(
            "INSERT INTO effects (at, serving, model_name, action_id, target, fence) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING",
            (now, action.serving, action.model_name, action.id, action.target_version, action.fence),
        )
        if action.source != "drill" and action.target_version is not None:
            for version in {action.bad_version, *action.tried}:
                self._ledger.rolled_back(action.serving, action.model_name, version)

    def past(self, action: Action) -> Past:
        """Real effects so far, other than this action's present attempt."""
        target = -1 if action.target_version is None else action.target_version
        present = _NONE if action.target_version in action.tried else target
        rows = self._database.rows(
            f"SELECT at, serving = ? AND model_name = ? FROM effects WHERE at > ? AND action_id NOT IN "  # noqa: S608 - our own
            f"(SELECT id FROM actions WHERE ({DRILL})) AND NOT (action_id = ? AND coalesce(target, -1) = ?)",
            action.serving, action.model_name, (action.received_at or 0.0) - _PAST, action.id, present,
        )  # fmt: skip
        return Past(tuple(at for at, of_model in rows if of_model), tuple(at for at, _ in rows))

    def clear(self, action: Action, by: str, now: float) -> Action:
        """Let the same release be acted on again, after an end that holds it. Overtaken when somebody was first."""
        cleared = replace(action, rev=action.rev + 1, cleared_by=by, cleared_at=now)
        with self._database.write("clear"):
            self._write(action, cleared)
            self._audit.append("cleared", {"by": by, "action_id": action.id}, now, action.id)
        return cleared

    def note(self, action: Action, **changes: Any) -> Action:
        """Write something about the action without moving it. Raises as `move` does."""
        noted = replace(action, rev=action.rev + 1, **changes)
        with self._database.write("note"):
            self._write(action, noted)
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
            "SELECT document FROM actions WHERE state = ? AND cleared_at IS NULL "  # noqa: S608 - our own
            f"AND id IN (SELECT max(id) FROM actions WHERE NOT ({DRILL}) GROUP BY serving, model_name)",
            State.NEEDS_HUMAN,
        )
        return [_action(row) for (row,) in rows]

    def latest_drills(self, limit: int, *, succeeded: bool = False) -> list[Action]:
        """The latest drills, newest first; only those that went the whole way if so asked."""
        rows = self._database.rows(
            f"SELECT document FROM actions WHERE ({DRILL}) AND (state = ? OR NOT ?) ORDER BY id DESC LIMIT ?",  # noqa: S608 - our own
            State.SUCCEEDED, succeeded, limit,
        )  # fmt: skip
        return [_action(row) for (row,) in rows]

    def events(self, action_id: int) -> list[Event]:
        """The transitions of one action, in order."""
        return self._audit.transitions(action_id)

    def _of_key(self, key: str) -> Action | None:
        """The action that answers for this key: any but one that ended without a touch, or was cleared."""
        rows = self._database.rows(
            "SELECT document FROM actions WHERE key = ? AND cleared_at IS NULL ORDER BY id DESC", key
        )
        found = (_action(row) for (row,) in rows)
        return next((action for action in found if action.state not in REOPENS), None)

    def _tells_nothing_new(self, moved: Action, now: float) -> bool:
        """Whether the action before it, for the same release, ended the same way, and people see that still."""
        rows = self._database.rows(
            "SELECT document FROM actions WHERE key = ? AND id < ? ORDER BY id DESC LIMIT 1", moved.key, moved.id
        )
        same = any((_action(row).state, _action(row).reason) == (moved.state, moved.reason) for (row,) in rows)
        return same and self._outbox.is_seen(moved.key, now)

    def _write(self, before: Action, after: Action) -> None:
        with self._database.write() as connection:
            try:
                written = connection.execute(
                    "UPDATE actions SET state = ?, rev = ?, cleared_at = ?, document = ? WHERE id = ? AND rev = ?",
                    (after.state, after.rev, after.cleared_at, _document(after), before.id, before.rev),
                )
            except Violated as error:
                raise Overtaken(f"another action already touches {before.model_name} on {before.serving}") from error
            if written.count != 1:
                raise Overtaken(f"action {before.id} moved on while it was at {before.state}")


def _document(action: Action) -> bytes:
    return msgspec.json.encode(action)


def _action(document: bytes) -> Action:
    return msgspec.json.decode(document, type=Action)
