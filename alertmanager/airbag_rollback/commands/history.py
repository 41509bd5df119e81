"""`airbag history`."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.table import Table

from airbag_rollback.commands.client import Client, for_receiver
from airbag_rollback.commands.texts import duration, line_of, moment, print_json, what_of


@click.command(epilog="Examples: airbag history; airbag history digits --limit 5; airbag history 7")
@click.argument("what", metavar="[MODEL | ID]", required=False)
@click.option("--serving", help="Only this server group.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many actions.")
@for_receiver("viewer")
def history(client: Client, what: str | None, serving: str | None, limit: int, as_json: bool) -> None:
    """Show the latest actions, those on one MODEL, or with an ID the timeline of one action with its evidence."""
    if what is not None and what.isascii() and what.isdigit():
        found = client.get(f"/v1/actions/{what}")
        print_json(found) if as_json else _timeline(found)
        return
    found = client.get("/v1/actions", serving=serving, model_name=what, limit=limit)
    if as_json:
        print_json(found)
    elif not found["actions"]:
        click.echo("no actions so far")
    else:
        Console(highlight=False).print(_table(found["actions"]))


def _table(actions: list[dict[str, Any]]) -> Table:
    table = Table("id", "received", "what", "by", "ended as", "why", "took")
    for each in actions:
        by = f"{each['source']} {each['asked_by']}".strip() if each["asked_by"] else each["alertname"]
        took = (
            None if each["ended_at"] is None or each["received_at"] is None else each["ended_at"] - each["received_at"]
        )
        ended = each["state"] if each["ended_at"] is not None else f"{each['state']} (open)"
        table.add_row(
            str(each["id"]), moment(each["received_at"]), what_of(each), by, ended, each["reason"], duration(took)
        )
    return table


def _timeline(action: dict[str, Any]) -> None:
    click.echo(line_of(action))
    click.echo(f"{action['source']}: {action['alertname']}  {_orders(action)}".rstrip())
    events = action["events"]
    for number, event in enumerate(events):
        lasted = events[number + 1]["at"] - event["at"] if number + 1 < len(events) else None
        by = f" [{event['by']}]" if event["by"] else ""
        click.echo(f"{moment(event['at'])}  {event['after']:<17}  {duration(lasted):>9}  {event['text']}{by}")
    if action["evidence"]:
        click.echo("evidence:")
    for each in action["evidence"]:
        click.echo(f"  {_evidence(each)}")


def _orders(action: dict[str, Any]) -> str:
    parts = (
        [f"asked by {action['asked_by']}: {action['asked_because'] or 'no reason given'}"] if action["asked_by"] else []
    )
    parts += [f"approved by {action['approved_by']}"] if action["approved_by"] else []
    parts += [f"cleared by {action['cleared_by']}"] if action["cleared_by"] else []
    return "; ".join(parts)


def _evidence(each: dict[str, Any]) -> str:
    if "query" in each:
        value = each["error"] or (each["outcome"] if each["value"] is None else f"{each['value']:.6g}")
        return f"{each['what']}: {value}   {each['query']}"
    rest = ", ".join(f"{key} {value}" for key, value in each.items() if key != "what" and value not in (None, "", []))
    return f"{each.get('what', 'fact')}: {rest}"
