"""Drills: what is true of the whole way of a rollback, found out by going it.

An ordered drill is an action that waits for its own alert: posted to every Alertmanager, it has to come back by the
webhook before anything else happens. From there on a drill goes the way of every action.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airbag.serving.groups import ServingGroup
from airbag_rollback.engine.states import ENDED, State
from airbag_rollback.engine.verdict import Verdict, judge
from airbag_rollback.evidence import Evidence
from airbag_rollback.journal import Journal
from airbag_rollback.look import ModelView
from airbag_rollback.outcomes import RUNBOOKS, stamp
from airbag_rollback.policy import Policy
from airbag_rollback.records import Action
from airbag_rollback.signals import SIGNALS
from airbag_rollback.webhook import Alert

ALERT = "AirbagDrill"

SEES = "AirbagVersionLoadFailed"
"""The signal that always has an answer while an exporter sees the server."""


@dataclass(frozen=True)
class Stage:
    """A part of the way. `at` is None while it is not reached; `seconds` since the stage before. `look` is for when it
    fails.
    """

    name: str
    at: float | None
    seconds: float | None
    look: str


_LOOK = {
    "posted": "is an Alertmanager of `alertmanager_urls` up? See the receiver's log",
    "received": "Alertmanager's route to the receiver, its token and its log; `airbag check` reads the route",
    "decided": "what stands above; `airbag explain` says it for each version",
    "armed": "the journal's disk, and whether another action is busy with this model: `airbag history`",
    "acted": "models.config and the servers: `airbag status`",
    "verified": "the servers: `airbag status`",
}
STAGES = tuple(_LOOK)


def alert(action: Action, now: float) -> dict[str, Any]:
    """The drill's own alert, as Alertmanager's API takes it. It asks for a rollback the way the rules do."""
    return {
        "labels": {
            "alertname": ALERT, "severity": "info", "airbag_action": "rollback", "serving": action.serving,
            "model_name": action.model_name, "model_version": str(action.bad_version), "drill": _name(action),
        },
        "annotations": {
            "summary": "A drill is under way.",
            "description": f"{action.asked_by} ordered a drill on {action.model_name} of {action.serving}.",
            "runbook_url": f"{RUNBOOKS}/AirbagRollbackDrillSucceeded.md",
        },
        "startsAt": stamp(now),
        "endsAt": stamp(action.deadline),
    }  # fmt: skip


def came_back(journal: Journal, told: Alert, received_at: float, deadline: float) -> str | None:
    """Let the drill go on whose alert this is; what became of the alert, None when it is no firing drill alert.

    Only an alert about what was ordered, under the name that only the order knows, is taken.
    """
    if told.status != "firing" or told.labels.get("alertname") != ALERT:
        return None
    name = told.labels.get("drill", "")
    number = name.partition("-")[0]
    is_number = number.isascii() and number.isdigit() and len(number) <= 18
    action = journal.actions.get(int(number)) if is_number else None
    if action is None or not _is_about(told, action):
        return f"refused: nobody ordered the drill {name[:100]!r}"
    if not awaits_its_alert(action):
        return f"repeated: action {action.id} has it"
    journal.actions.note(action, alert_at=action.received_at, received_at=received_at, deadline=deadline)
    return f"drill: action {action.id} goes on"


def awaits_its_alert(action: Action) -> bool:
    """Whether its own alert has not come back yet."""
    waiting = (State.RECEIVED, State.EVALUATING)
    return action.source == "drill" and action.alert_at is None and action.state in waiting


def _is_about(told: Alert, action: Action) -> bool:
    meant = alert(action, 0.0)["labels"]
    return action.source == "drill" and all(told.labels.get(name) == value for name, value in meant.items())


def _name(action: Action) -> str:
    """One drill's name: the journal's number, and the time of the order in case another journal had that number."""
    return f"{action.id}-{action.key.rpartition('/')[2]}"


def unmonitored(evidence: Evidence, version: int) -> str:
    """Ask for everything that an alert about `version` could be judged by; why no alert could be, or ""."""
    measured = {name: evidence.now(signal, version) for name, signal in SIGNALS.items()}
    errors = sorted({each.detail for each in measured.values() if each.detail})
    if errors:
        return "; ".join(errors)
    if judge(measured[SEES], SIGNALS[SEES].bad) is Verdict.NO_DATA:
        return f"Prometheus has nothing fresh from the exporter about this server: {measured[SEES]}"
    return ""


def shadow_target(policy: Policy, group: ServingGroup, model: str, view: ModelView) -> int | str:
    """The older of the two versions that the shadow model serves, or why there can be no real drill."""
    shadow = policy.drill.shadow
    if shadow is None or (shadow.serving, shadow.model) != (group.name, model):
        allowed = "policy.yml names none" if shadow is None else f"that is {shadow.serving}/{shadow.model}"
        return f"a real drill is only made on the shadow model of drill.shadow: {allowed}"
    if view.unreachable or len(view.serves) != 1:
        return f"what serves {model} cannot be told: {view.unreachable or 'the servers do not agree'}"
    older = [version for version in view.wanted or () if version < max(view.serves)]
    if len(view.wanted or ()) != 2 or not older or not (view.wanted or frozenset()) <= view.available:
        loaded = ", ".join(map(str, sorted(view.available))) or "nothing"
        return f"a real drill needs two versions that models.config names and that are loaded; loaded: {loaded}"
    landing = policy.rule(group.name, model, ALERT).landing
    if landing != "serving-version":
        return f"only what serving-version did can be undone here; {model} has the landing {landing}"
    return max(older)


def stages(action: Action, posted_at: float | None) -> tuple[Stage, ...]:
    """How far the drill has come."""
    back = action.alert_at is not None
    reached = {
        "posted": posted_at if posted_at is not None or not back else action.received_at,
        "received": action.received_at if back else None,
        "decided": action.decided_at if action.armed_at or action.plan else None,
        "armed": action.armed_at,
        "acted": action.acted_at,
        "verified": action.recovered_at,
    }
    found, before = [], action.alert_at if back else action.received_at
    for name, at in reached.items():
        seconds = None if at is None or before is None else max(0.0, at - before)
        found.append(Stage(name, at, seconds, _LOOK[name]))
        before = at if at is not None else before
    return tuple(found)


def failed_at(action: Action, posted_at: float | None) -> Stage | None:
    """The stage that a drill which ended did not get past; None while it goes on or when it went the whole way."""
    if action.state not in ENDED or action.state is State.SUCCEEDED:
        return None
    return next((each for each in stages(action, posted_at) if each.at is None), stages(action, posted_at)[-1])
