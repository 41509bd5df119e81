"""`airbag explain`."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.table import Table

from airbag_rollback.commands.client import Client, for_receiver
from airbag_rollback.commands.finding import place_of
from airbag_rollback.commands.texts import moment, print_json


@click.command(epilog="Example: airbag explain digits --evidence")
@click.argument("model")
@click.option("--serving", help="Server group; needed when more than one has the model.")
@click.option("--evidence", "with_evidence", is_flag=True, help="Show every question to Prometheus and its answer.")
@for_receiver("viewer")
def explain(client: Client, model: str, serving: str | None, with_evidence: bool, as_json: bool) -> None:
    """Show what would be done with MODEL now if an alert fired, and why not otherwise. Changes nothing."""
    group, name = place_of(client, model, serving)
    found = client.get("/v1/explain", serving=group, model=name)
    if as_json:
        print_json(found)
        return
    for line in _head(found):
        click.echo(line)
    if found["signals"]:
        Console(highlight=False).print(_table(found["signals"]))
    if with_evidence:
        for signal in found["signals"]:
            for each in signal["evidence"]:
                if "query" in each:
                    click.echo(
                        f"{signal['alertname']}: {each['what']}: {each['outcome']} {each['value']}  {each['query']}"
                    )
    click.echo(found["text"])


def _head(found: dict[str, Any]) -> list[str]:
    serves = ", ".join(map(str, found["serves"])) or "nothing"
    lines = [f"{found['serving']}/{found['model_name']}: {serves} serves; mode {found['mode']}, by {found['landing']}"]
    if found["unreachable"]:
        lines.append(f"cannot be seen: {found['unreachable']}")
    if found["released_at"] is not None:
        lines.append(f"{found['suspect']} was released {moment(found['released_at'])}")
    target = found["target_version"]
    lines.append("a rollback has nowhere to go" if target is None else f"a rollback goes to {target}")
    lines += [f"  not {version}: {why}" for version, why in found["refused"].items()]
    lines += [f"held back: {each['text']}" + _until(each["until"]) for each in found["guards"]]
    if found["open_action"]:
        each = found["open_action"]
        lines.append(f"under way: action {each['id']} is {each['state']}: {each['text']}")
    return lines


def _until(at: float | None) -> str:
    return "" if at is None else f", until {moment(at)}"


def _table(signals: list[dict[str, Any]]) -> Table:
    table = Table("if this fired", "it measures", "what is done", "why")
    for each in signals:
        table.add_row(each["alertname"], each["verdict"], f"{each['kind']} ({each['reason']})", each["text"])
    return table
