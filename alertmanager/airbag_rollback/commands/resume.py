"""`airbag resume`."""

from __future__ import annotations

import click

from airbag_rollback.commands.client import Client, for_receiver
from airbag_rollback.commands.finding import path_of
from airbag_rollback.commands.pause import scope
from airbag_rollback.commands.texts import print_json


@click.command(epilog="Examples: airbag resume digits; airbag resume --all")
@click.argument("model", required=False)
@click.option("--all", "everything", is_flag=True, help="End the pause of all; pauses of single models stay.")
@click.option("--serving", default="*", show_default=True, help="The server group that the pause names.")
@for_receiver("operator")
def resume(client: Client, model: str | None, everything: bool, serving: str, as_json: bool) -> None:
    """End a pause, named as it was begun, and show which ones still hold."""
    client.delete(path_of("v1", "pauses", serving, scope(model, everything)))
    left = client.get("/v1/pauses")
    if as_json:
        print_json(left)
        return
    click.echo(f"resumed: {serving}/{scope(model, everything)}")
    for each in left["pauses"]:
        click.echo(f"still paused: {each['serving']}/{each['model_name']}, by {each['by']}: {each['because']}")
