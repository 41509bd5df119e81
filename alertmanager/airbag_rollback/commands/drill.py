"""`airbag drill`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from airbag.errors import AirbagError
from airbag_rollback.commands.client import Client, for_receiver
from airbag_rollback.commands.finding import place_of
from airbag_rollback.commands.follow import until_ended
from airbag_rollback.commands.texts import line_of, print_json

_EVERY = 0.1


class DrillFailed(AirbagError):
    """The drill did not go the whole way; the message says where it ended and what to look at."""

    reason = "drill_failed"


@click.command(epilog="Examples: airbag drill digits; airbag drill digits-shadow --shadow")
@click.argument("model")
@click.option("--serving", help="Server group; needed when more than one has the model.")
@click.option("--shadow", is_flag=True, help="For real: go back on the shadow model, then put back what was there.")
@click.option("--because", default="", help="Why, for the audit.")
@for_receiver("operator")
def drill(client: Client, model: str, serving: str | None, shadow: bool, because: str, as_json: bool) -> None:
    """Go the whole way of a rollback on MODEL and touch nothing. Exits 0 only when every stage was passed."""
    group, name = place_of(client, model, serving)
    action = client.post("/v1/drills", serving=group, model_name=name, because=because, shadow=shadow or None)
    if not as_json:
        click.echo(f"ordered: {line_of(action)}")
    found: dict[str, Any] = {}
    for seen, passed in _seen(client, action["id"]):
        found = seen
        for stage in [] if as_json else passed:
            click.echo(f"{_since(stage, found):7.2f} s  {stage['name']:<9} {_TEXTS[stage['name']]}")
    if as_json:
        print_json(found)
    _judge(found)
    if not as_json:
        what = "went back and forth" if shadow else "touched nothing"
        click.echo(f"the whole way works: the drill {what}, and would have gone back to {found['target_version']}")


_TEXTS = {
    "posted": "its alert was taken by an Alertmanager",
    "received": "and came back by the webhook",
    "decided": "judged with Prometheus' answers, and planned",
    "armed": "the intent is durable",
    "acted": "the landing was told",
    "verified": "the servers were seen to be as they should",
}


def _since(stage: dict[str, Any], found: dict[str, Any]) -> float:
    return max(0.0, float(stage["at"]) - float(found["ordered_at"]))


def _judge(found: dict[str, Any]) -> None:
    if found["state"] == "SUCCEEDED":
        return
    failed = found["failed_at"]
    raise DrillFailed(
        f"drill {found['id']} on {found['serving']}/{found['model_name']} failed before it was {failed['name']}: "
        f"{found['text']} ({found['reason']}). Look at: {failed['look']}"
    )


def _seen(client: Client, action_id: int) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The drill again and again, each time with the stages that are new, until it has ended."""
    shown: set[str] = set()
    for found in until_ended(client, f"/v1/drills/{action_id}", _EVERY):
        passed = [each for each in found["stages"] if each["at"] is not None and each["name"] not in shown]
        shown |= {each["name"] for each in passed}
        yield found, passed
