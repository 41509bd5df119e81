"""How an action ends, as an alert for people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airbag_rollback.engine.states import State
from airbag_rollback.records import Action

RUNBOOKS = "prometheus/runbooks"

_NAMES = {
    State.SUCCEEDED: ("AirbagRollbackSucceeded", "info", "A bad version was rolled back."),
    State.SUPPRESSED: ("AirbagRollbackSuppressed", "info", "An alert asked for a rollback and none was made."),
    State.NEEDS_HUMAN: ("AirbagRollbackNeedsHuman", "critical", "A bad version needs a person."),
    State.FAILED: ("AirbagRollbackFailed", "critical", "A rollback could not be made; nothing was changed."),
}
_SHOWN_FOR = {"info": 900.0, "critical": 6 * 3600.0}
"""Seconds until Alertmanager takes the alert for resolved."""


def outcome_alert(action: Action, now: float) -> dict[str, Any] | None:
    """The alert that tells how the action ended, as Alertmanager's API takes it; None while it goes on."""
    if action.state not in _NAMES:
        return None
    name, severity, summary = _NAMES[action.state]
    labels = {
        "alertname": name, "severity": severity, "serving": action.serving, "model_name": action.model_name,
        "model_version": str(action.bad_version), "action_id": str(action.id),
    }  # fmt: skip
    back = f", going back to {action.target_version}" if action.target_version is not None else ""
    description = (
        f"{action.alertname} on version {action.bad_version} of {action.model_name} on {action.serving}{back}: "
        f"{action.text}"
    )
    return {
        "labels": labels,
        "annotations": {"summary": summary, "description": description, "runbook_url": f"{RUNBOOKS}/{name}.md"},
        "startsAt": stamp(now),
        "endsAt": stamp(now + _SHOWN_FOR[severity]),
    }


def still_shown(alert: dict[str, Any], now: float) -> dict[str, Any]:
    """The alert, made to last: one that waited long for Alertmanager must not arrive as resolved."""
    return alert | {"endsAt": max(alert["endsAt"], stamp(now + _SHOWN_FOR["info"]))}


def stamp(at: float) -> str:
    """A time as Alertmanager writes it, in one format: the order of the texts is that of the times."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
