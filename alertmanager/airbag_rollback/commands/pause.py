"""`airbag pause`."""

from __future__ import annotations

import click

from airbag.config import parse_duration
from airbag_rollback.commands.client import Client, for_receiver
from airbag_rollback.commands.texts import moment, print_json


class DurationType(click.ParamType[float]):
    """A duration such as 2h on the command line."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(f"{value!r} is {error}", param, ctx)


@click.command(
    epilog="Examples: airbag pause digits --for 2h --because 'load test'; airbag pause --all --because 'moving racks'"
)
@click.argument("model", required=False)
@click.option("--all", "everything", is_flag=True, help="Every model of every serving.")
@click.option("--serving", default="*", show_default=True, help="Only on this server group.")
@click.option("--for", "seconds", type=DurationType(), help="For how long; otherwise until `airbag resume`.")
@click.option("--because", required=True, help="Why: whoever is called at night wants to know.")
@for_receiver("operator")
def pause(
    client: Client, model: str | None, everything: bool, serving: str, seconds: float | None, because: str,
    as_json: bool,
) -> None:  # fmt: skip
    """Let nothing be rolled back by itself on MODEL. Orders of people still go."""
    held = client.post(
        "/v1/pauses", serving=serving, model_name=scope(model, everything), seconds=seconds, because=because
    )
    if as_json:
        print_json(held)
        return
    until = "until `airbag resume`" if held["until"] is None else f"until {moment(held['until'])}"
    click.echo(f"paused: {held['serving']}/{held['model_name']} {until}, by {held['by']}: {held['because']}")


def scope(model: str | None, everything: bool) -> str:
    """The model that is meant, `*` for all; a usage error when both or neither is said."""
    if (model is None) is not everything:
        raise click.UsageError("name one MODEL, or --all")
    return model or "*"
