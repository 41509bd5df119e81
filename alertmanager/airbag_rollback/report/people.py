"""What people did, as the actions and the pauses tell it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airbag_rollback.records import Action
from airbag_rollback.report.incident import Incident


@dataclass(frozen=True)
class Deed:
    """Somebody did something. `at` is seconds since the epoch."""

    at: float
    who: str
    what: str


def deeds(incident: Incident) -> list[Deed]:
    """In the order of time."""
    found = [deed for each in incident.acts.told for deed in _of(each.action)]
    for each in incident.acts.told:
        found += [
            Deed(event.at, event.by, f"moved action {each.action.id} to {event.after}: {event.text}")
            for event in each.events
            if event.by
        ]
    found += [Deed(each.since, each.by, f"paused rollbacks: {each.because}") for each in incident.acts.pauses]
    return sorted(found, key=lambda deed: deed.at)


def _of(action: Action) -> Iterator[Deed]:
    if action.asked_by and action.received_at is not None:
        what = "a drill" if action.source == "drill" else "a rollback"
        because = f": {action.asked_because}" if action.asked_because else ""
        yield Deed(action.received_at, action.asked_by, f"ordered {what} (action {action.id}){because}")
    if action.approved_by and action.approved_at is not None:
        yield Deed(action.approved_at, action.approved_by, f"approved action {action.id}")
    if action.cleared_by and action.cleared_at is not None:
        yield Deed(action.cleared_at, action.cleared_by, f"cleared action {action.id}")
