"""`airbag rollback`."""

from __future__ import annotations

from typing import Any

import click

from airbag.errors import AirbagError
from airbag_rollback.commands.client import Client, for_receiver
from airbag_rollback.commands.finding import path_of, place_of
from airbag_rollback.commands.follow import follow
from airbag_rollback.commands.texts import duration, line_of, print_json


class NowhereToGo(AirbagError):
    """No version can be gone back to, or not the one that was asked for."""

    reason = "no_eligible_target"


@click.command(epilog="Examples: airbag rollback digits; airbag rollback digits --to 2 --because 'wrong prices' --yes")
@click.argument("model")
@click.option("--to", "target", type=click.IntRange(min=0), help="This version; else the one that Airbag would choose.")
@click.option("--serving", help="Server group; needed when more than one has the model.")
@click.option("--because", default="", help="Why, for the audit.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--no-wait", is_flag=True, help="Order it and end; otherwise follow it to its end.")
@for_receiver("operator")
def rollback(
    client: Client, model: str, target: int | None, serving: str | None, because: str, yes: bool, no_wait: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Go back from what serves MODEL now. Exits 0 only when the version gone back to serves and does well."""
    group, name = place_of(client, model, serving)
    found = client.get(path_of("v1", "models", group, name, "versions"))
    sentence = _sentence(found, target)
    if not yes:
        click.confirm(f"{sentence}. Do it?", abort=True, err=as_json)
    elif not as_json:
        click.echo(sentence)
    action = order(client, group, name, target, because)
    if not as_json:
        click.echo(f"ordered: {line_of(action)}")
    if not no_wait:
        action = follow(client, action["id"], quiet=as_json)
        if not as_json:
            click.echo(f"{name} on {group}: {action['target_version']} serves and does well")
    if as_json:
        print_json(action)


def order(client: Client, group: str, model: str, target: int | None, because: str) -> dict[str, Any]:
    """Order a rollback."""
    ordered: dict[str, Any] = client.post(
        "/v1/rollbacks", serving=group, model_name=model, target_version=target, because=because
    )
    return ordered


def _sentence(found: dict[str, Any], asked: int | None) -> str:
    """What will happen. NowhereToGo with the reasons when it cannot; proof may be missing for what a person asks."""
    target = found["target"] if asked is None else asked
    known = {each["version"]: each for each in found["versions"]}
    if target is None:
        reasons = "; ".join(f"{each['version']} {each['refused']}" for each in found["versions"] if each["refused"])
        raise NowhereToGo(f"{found['model_name']} has no version to go back to: {reasons or 'no other is known'}")
    serves = ", ".join(map(str, found["serves"])) or "nothing"
    what = f"{found['model_name']} on {found['serving']}: {serves} serves; it goes back to {target}"
    if target not in known:
        raise NowhereToGo(f"{found['model_name']} has no version {target}; there are {', '.join(map(str, known))}")
    its = known[target]
    soak = f"which served {duration(its['soak_seconds'])}, verdict {its['verdict']}"
    return f"{what}, {soak}" + (f", although it {its['refused']}" if its["refused"] else "")
