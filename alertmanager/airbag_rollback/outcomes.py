"""What becomes of an action, as alerts for people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airbag_rollback.engine.states import State
from airbag_rollback.records import Action

RUNBOOKS = "prometheus/runbooks"

HELD_BACK = ("paused", "frozen", "cool_down", "budget", "breaker")
"""Why a guard holds something back: worth telling, unlike a verdict that is still to come."""

_NAMES = {
    State.SUCCEEDED: ("AirbagRollbackSucceeded", "info", "A bad version was rolled back."),
    State.SUPPRESSED: ("AirbagRollbackSuppressed", "info", "An alert asked for a rollback and none was made."),
    State.CANCELLED: ("AirbagRollbackCancelled", "info", "A person said no to a rollback."),
    State.NEEDS_HUMAN: ("AirbagRollbackNeedsHuman", "critical", "A bad version needs a person."),
    State.FAILED: ("AirbagRollbackFailed", "critical", "A rollback could not be made; nothing was changed."),
    State.AWAITING_APPROVAL: ("AirbagRollbackAwaitingApproval", "critical", "A rollback waits for a person's word."),
    State.BLOCKED: ("AirbagRollbackBlocked", "warning", "A rollback is held back."),
}
_DRILLS = {
    State.SUCCEEDED: ("AirbagRollbackDrillSucceeded", "info", "A drill went the whole way."),
    State.CANCELLED: ("AirbagRollbackCancelled", "info", "A person said no to a drill."),
} | dict.fromkeys(
    (State.SUPPRESSED, State.NEEDS_HUMAN, State.FAILED),
    ("AirbagRollbackDrillFailed", "warning", "A drill did not go the whole way."),
)
_SHOWN_FOR = {"info": 900.0, "warning": 3600.0, "critical": 6 * 3600.0}
"""Seconds until Alertmanager takes the alert for resolved."""


def messages(before: Action, after: Action, now: float) -> list[dict[str, Any]]:
    """What people should hear about a transition, as Alertmanager's API takes it.

    The end of waiting is told too: it takes away the alert that asked for a person's word.
    """
    left, entered = _told(before), _told(after)
    told = []
    if left and before.ended_at is None and left != entered:
        told.append(_alert(before, *left, now, now))
    if entered and left != entered:
        told.append(_alert(after, *entered, now, now + _SHOWN_FOR[entered[1]]))
    return told


def _told(action: Action) -> tuple[str, str, str] | None:
    names = _DRILLS if action.source == "drill" else _NAMES
    if action.state is State.BLOCKED and action.reason not in HELD_BACK:
        return None
    return names.get(action.state)


def _alert(action: Action, name: str, severity: str, summary: str, now: float, until: float) -> dict[str, Any]:
    labels = {
        "alertname": name, "severity": severity, "serving": action.serving, "model_name": action.model_name,
        "model_version": str(action.bad_version), "action_id": str(action.id),
    }  # fmt: skip
    back = f", going back to {action.target_version}" if action.target_version is not None else ""
    asked = action.alertname if action.source == "alert" else f"the {action.source} order of {action.asked_by}"
    description = (
        f"{asked} on version {action.bad_version} of {action.model_name} on {action.serving}{back}: {action.text}"
    )
    return {
        "labels": labels,
        "annotations": {"summary": summary, "description": description, "runbook_url": f"{RUNBOOKS}/{name}.md"},
        "startsAt": stamp(now),
        "endsAt": stamp(until),
    }


def still_shown(alert: dict[str, Any], now: float) -> dict[str, Any]:
    """The alert, made to last: one that waited long for Alertmanager must not arrive as resolved.

    One that is told as over stays over.
    """
    if is_over(alert):
        return alert
    return alert | {"endsAt": max(alert["endsAt"], stamp(now + _SHOWN_FOR["info"]))}


def is_over(alert: dict[str, Any]) -> bool:
    """Whether the alert takes an earlier one away."""
    return bool(alert["endsAt"] <= alert["startsAt"])


def stamp(at: float) -> str:
    """A time as Alertmanager writes it, in one format: the order of the texts is that of the times."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
