"""What the receiver tells of a model in a span: actions with every state they went through, and pauses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from airbag.errors import Garbled, RemoteError
from airbag_rollback.commands.client import Client
from airbag_rollback.records import Action, Event

_LATEST = 1000
"""Actions that are looked through, from now back: the most that the API gives."""


@dataclass(frozen=True)
class Told:
    """One action and its transitions."""

    action: Action
    events: tuple[Event, ...]

    @property
    def start(self) -> float:
        """Its first moment."""
        known = [at for at in (self.action.alert_at, self.action.received_at) if at is not None]
        return min([*known, *(event.at for event in self.events[:1])], default=0.0)


@dataclass(frozen=True)
class Pause:
    """A pause that still holds and began before the span's end."""

    since: float
    by: str
    because: str


@dataclass(frozen=True)
class Acts:
    """All of it, oldest first. `problem` says why the receiver could not be asked; then nobody knows what was done."""

    told: tuple[Told, ...] = ()
    pauses: tuple[Pause, ...] = ()
    problem: str = ""


def one(client: Client, action_id: int) -> Told:
    """One action. RemoteError as usual."""
    return _told(client.get(f"/v1/actions/{action_id}"))


def within(client: Client, serving: str, model: str, start: float, end: float) -> Acts:
    """The actions on the model that were under way in the span. What nobody can answer is a `problem`."""
    try:
        listed = client.get("/v1/actions", serving=serving, model_name=model, limit=_LATEST)["actions"]
        found = [_told({**each, "events": []}) for each in listed]
        meant = [each.action.id for each in found if each.start <= end and (each.action.ended_at or end) >= start]
        told = tuple(one(client, number) for number in sorted(meant))
        pauses = tuple(
            Pause(each["since"], each["by"], each["because"])
            for each in client.get("/v1/pauses")["pauses"]
            if each["serving"] in ("*", serving) and each["model_name"] in ("*", model) and each["since"] <= end
        )
    except RemoteError as error:
        return Acts(problem=str(error))
    return Acts(told, pauses)


def _told(document: Any) -> Told:  # Any: JSON
    try:
        return Told(msgspec.convert(document, Action), msgspec.convert(document["events"], tuple[Event, ...]))
    except (msgspec.ValidationError, KeyError, TypeError) as error:
        raise Garbled(f"the receiver tells of an action in another way than this Airbag knows ({error})") from error
