"""`airbag versions`."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.table import Table

from airbag_rollback.commands.client import Client, for_receiver
from airbag_rollback.commands.finding import path_of, place_of
from airbag_rollback.commands.texts import duration, print_json


@click.command(epilog="Example: airbag versions digits")
@click.argument("model")
@click.option("--serving", help="Server group; needed when more than one has the model.")
@for_receiver("viewer")
def versions(client: Client, model: str, serving: str | None, as_json: bool) -> None:
    """Show every version of MODEL, and whether one could go back to it or why not."""
    group, name = place_of(client, model, serving)
    found = client.get(path_of("v1", "models", group, name, "versions"))
    if as_json:
        print_json(found)
        return
    console = Console(highlight=False)
    console.print(_table(found["versions"]))
    if found["unreachable"]:
        click.echo(f"not all can be seen: {found['unreachable']}")
    target = found["target"]
    click.echo(f"a rollback goes to {target}" if target is not None else "a rollback has nowhere to go")


def _table(found: list[dict[str, Any]]) -> Table:
    table = Table("version", "serves", "loaded on", "on disk", "soak", "requests", "verdict", "checksum", "go back?")
    for each in found:
        on_disk = {True: "yes", False: "no", None: "not seen"}[each["on_disk"]]
        table.add_row(
            str(each["version"]), "yes" if each["serves"] else "", ", ".join(each["loaded_on"]) or "-", on_disk,
            duration(each["soak_seconds"]), "-" if each["requests"] is None else f"{each['requests']:.0f}",
            each["verdict"], each["checksum"][:12] or "-", _answer(each),
        )  # fmt: skip
    return table


def _answer(version: dict[str, Any]) -> str:
    if version["refused"]:
        return f"no: {version['refused']}"
    return "yes, first choice" if version["is_target"] else "yes"
