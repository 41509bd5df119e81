"""`airbag clear`."""

from __future__ import annotations

import click

from airbag_rollback.commands.client import Client, for_receiver
from airbag_rollback.commands.texts import line_of, print_json


@click.command(epilog="Example: airbag clear 7")
@click.argument("action_id", metavar="ID", type=click.IntRange(min=1))
@for_receiver("operator")
def clear(client: Client, action_id: int, as_json: bool) -> None:
    """Let the release of an ended action be acted on again: it holds no longer what it held."""
    action = client.post(f"/v1/actions/{action_id}/clear")
    if as_json:
        print_json(action)
    else:
        click.echo(f"cleared: {line_of(action)}")
