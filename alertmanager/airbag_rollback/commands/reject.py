"""`airbag reject`."""

from __future__ import annotations

import click

from airbag_rollback.commands.client import Client, for_receiver
from airbag_rollback.commands.texts import line_of, print_json


@click.command(epilog="Example: airbag reject 7 --because 'the alert is wrong, see the dashboard'")
@click.argument("action_id", metavar="ID", type=click.IntRange(min=1))
@click.option("--because", default="", help="Why, for the audit.")
@for_receiver("operator")
def reject(client: Client, action_id: int, because: str, as_json: bool) -> None:
    """Say no to an action that has touched nothing yet. Its release is then left alone until `airbag clear`."""
    action = client.post(f"/v1/actions/{action_id}/reject", because=because)
    if as_json:
        print_json(action)
    else:
        click.echo(f"rejected: {line_of(action)}")
