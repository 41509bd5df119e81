"""`airbag status`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from airbag.config import load
from airbag.errors import AirbagError
from airbag.process import log_options
from airbag.serving.groups import Servings, load_servings
from airbag.serving.values import State
from airbag_rollback.commands.client import Client, Way, with_receiver
from airbag_rollback.commands.texts import line_of, moment, print_json
from airbag_rollback.look import Lookout
from airbag_rollback.policy import Policy

_NOT_ACTING = ("off", "observe")


@click.command(epilog="Example: airbag status --limit 3")
@click.option("--config.file", "config_file", type=click.Path(path_type=Path), default="alertmanager/policy.yml",
              show_default=True, help="policy.yml; it names exporters.yml.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True, help="How many actions to show.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: what the receiver says, without the servers.")
@with_receiver
@log_options
def status(config_file: Path, receiver: Way, limit: int, as_json: bool) -> None:
    """Show what serves, server by server, and what the receiver is doing. The servers are asked directly."""
    if as_json:
        client = receiver.client(config_file, "viewer")
        print_json(_told(client, limit))
        return
    console = Console(highlight=False)
    console.print(_serving(load_servings(load(config_file, Policy).exporters_file)))
    try:
        client = receiver.client(config_file, "viewer")
        told = _told(client, limit)
    except AirbagError as error:
        click.echo(f"actions: {error}")
        return
    for line in [*_standing(told), *_actions(told)]:
        click.echo(line)


def _serving(servings: Servings) -> Table:
    table = Table("serving", "model", "target", "answers", "loaded", "models.config names", "remark")
    lookout = Lookout()
    for group in servings.servings:
        for entry in group.models:
            view = lookout.look(group, entry.name)
            named = "-" if view.wanted is None else ", ".join(map(str, sorted(view.wanted)))
            for target in view.targets:
                loaded = [str(each.version) for each in target.versions if each.state is State.AVAILABLE]
                failed = [f"{each.version} {each.error_code}" for each in target.versions if each.error_code != "OK"]
                remark = target.error or view.config_error or ", ".join(failed)
                answers = "-" if target.default is None else str(target.default)
                table.add_row(group.name, entry.name, target.name, answers, ", ".join(loaded) or "-", named, remark)
    lookout.close()
    return table


def _told(client: Client, limit: int) -> dict[str, Any]:
    """What the receiver says of itself, its models and its actions."""
    return {**client.get("/v1/models"), **client.get("/v1/pauses"), **client.get("/v1/actions", limit=limit)}


def _standing(told: dict[str, Any]) -> list[str]:
    """Whether it acts, and who holds it back."""
    since = f", since {moment(told['not_acting_since'])}" if told["not_acting_since"] else ""
    lines = [f"mode: {told['mode']}" + (f" (nothing is rolled back by itself{since})" if since else "")]
    own = [each for each in told["models"] if each["mode"] != told["mode"]]
    lines += [f"mode of {each['serving']}/{each['model_name']}: {each['mode']}" for each in own]
    lines.append(
        f"leader: this receiver, term {told['fence']}"
        if told["fence"]
        else "leader: another receiver; this one stands by"
    )
    if told["journal_error"]:
        lines.append(f"journal: cannot be written: {told['journal_error']}")
    for each in told["pauses"]:
        until = "until `airbag resume`" if each["until"] is None else f"until {moment(each['until'])}"
        lines.append(f"paused: {each['serving']}/{each['model_name']} {until}, by {each['by']}: {each['because']}")
    return lines


def _actions(told: dict[str, Any]) -> list[str]:
    """Open actions with what they wait for, then what ended: two lines an action."""
    waits = {each["id"]: each for model in told["models"] for each in model["open_actions"]}
    lines = [
        f"open: #{each['id']} is {each['state']} until {moment(each['deadline'])}: {_wait(each)}"
        for each in waits.values()
    ]
    for each in told["actions"]:
        lines += [f"{line_of(each)}  {moment(each['received_at'])}  {each['alertname']}", f"    {each['text']}"]
    return lines if told["actions"] else [*lines, "actions: none so far"]


def _wait(action: dict[str, Any]) -> str:
    if action["state"] == "AWAITING_APPROVAL":
        return f"waits for `airbag approve {action['id']}` or `airbag reject {action['id']}`"
    return str(action["text"] or action["reason"] or "goes on by itself")
