"""Follows an action to its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click

from airbag.errors import AirbagError, Unreachable
from airbag_rollback.commands.client import Client
from airbag_rollback.commands.texts import what_of
from airbag_rollback.engine.states import ENDED

_EVERY = 0.25
_AWAY = 60.0
_PERSON = "AWAITING_APPROVAL"


class NotSucceeded(AirbagError):
    """The action ended otherwise than asked for."""

    reason = "not_succeeded"


def follow(client: Client, action_id: int, *, quiet: bool = False) -> dict[str, Any]:
    """Print each state as it comes until the action ends; the action. NotSucceeded unless it succeeded.

    A receiver that is away meanwhile is waited for: it goes on with the action when it is back.
    """
    begun: float | None = None
    action: dict[str, Any] = {}
    for seen, events in _seen(client, action_id):
        action = seen
        for event in events:
            begun = event["at"] if begun is None else begun
            if not quiet:
                click.echo(f"{event['at'] - begun:7.2f} s  {event['after']:<17}  {event['text']}")
            if event["after"] == _PERSON and not quiet:
                click.echo(f"           a person has to say: airbag approve {action_id}, or airbag reject {action_id}")
    if action["state"] != "SUCCEEDED":
        raise NotSucceeded(
            f"action {action_id} ({what_of(action)}) ended as {action['state']} ({action['reason']}): {action['text']}"
        )
    return action


def until_ended(client: Client, path: str, every: float = _EVERY) -> Iterator[dict[str, Any]]:
    """What the receiver answers at `path`, again and again, until its state is an end.

    A receiver that is away meanwhile is waited for, a minute at most; then Unreachable.
    """
    heard_at = time.monotonic()
    while True:
        try:
            found = client.get(path)
        except Unreachable:
            if time.monotonic() - heard_at > _AWAY:
                raise
        else:
            heard_at = time.monotonic()
            yield found
            if found["state"] in ENDED:
                return
        time.sleep(every)


def _seen(client: Client, action_id: int) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The action again and again, each time with the events that are new, until it has ended."""
    shown = 0
    for action in until_ended(client, f"/v1/actions/{action_id}"):
        events = action.pop("events")
        yield action, events[shown:]
        shown = len(events)
