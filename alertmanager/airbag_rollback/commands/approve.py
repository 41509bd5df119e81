"""`airbag approve`."""

from __future__ import annotations

import click

from airbag_rollback.commands.client import Client, for_receiver
from airbag_rollback.commands.follow import follow
from airbag_rollback.commands.texts import line_of, print_json


@click.command(epilog="Example: airbag approve 7 --because 'the team agrees'")
@click.argument("action_id", metavar="ID", type=click.IntRange(min=1))
@click.option("--because", default="", help="Why, for the audit.")
@click.option("--wait", is_flag=True, help="Follow the action to its end; exit 0 only when it succeeds.")
@for_receiver("operator")
def approve(client: Client, action_id: int, because: str, wait: bool, as_json: bool) -> None:
    """Let an action go on that waits for a person's word, or that a guard holds back."""
    action = client.post(f"/v1/actions/{action_id}/approve", because=because)
    if not as_json:
        click.echo(f"approved: {line_of(action)}")
    if wait:
        action = follow(client, action_id, quiet=as_json)
    if as_json:
        print_json(action)
