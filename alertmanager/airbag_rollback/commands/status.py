"""`airbag status`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import requests
from rich.console import Console
from rich.table import Table

from airbag.config import load
from airbag.errors import ConfigError
from airbag.process import log_options
from airbag.serving.groups import Servings, load_servings
from airbag.serving.values import State
from airbag_rollback.look import Lookout
from airbag_rollback.policy import Policy


@click.command()
@click.option("--config.file", "config_file", type=click.Path(path_type=Path), default="alertmanager/policy.yml",
              show_default=True, help="policy.yml; it names exporters.yml.")  # fmt: skip
@click.option("--receiver.url", "receiver_url", default="http://127.0.0.1:9815", show_default=True)
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True, help="How many actions to show.")
@log_options
def status(config_file: Path, receiver_url: str, limit: int) -> None:
    """Show what serves, server by server, and what the receiver is doing."""
    policy = load(config_file, Policy)
    console = Console(highlight=False)
    console.print(_serving(load_servings(policy.exporters_file)))
    actions = _actions(policy, receiver_url)
    console.print(actions if isinstance(actions, str) else _lines(actions[:limit]), markup=False, soft_wrap=True)


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


def _actions(policy: Policy, url: str) -> list[dict[str, Any]] | str:
    """The receiver's actions, or why they cannot be shown."""
    try:
        token = policy.webhook_token.read()
        answer = requests.get(
            f"{url.rstrip('/')}/v1/actions", headers={"Authorization": f"Bearer {token}"}, timeout=3.0,
            allow_redirects=False,
        )  # fmt: skip
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["actions"]
    except ConfigError as error:
        return f"actions: the token cannot be read: {error}"
    except (requests.RequestException, KeyError, ValueError) as error:
        return f"actions: the receiver at {url} gives none: {error}"
    return found


def _lines(actions: list[dict[str, Any]]) -> str:
    """Two lines an action: what and how it stands, and why."""
    return "\n".join(f"{_head(each)}\n    {each['text']}" for each in actions) or "actions: none so far"


def _head(action: dict[str, Any]) -> str:
    received = datetime.fromtimestamp(action["received_at"], UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    to = "" if action["target_version"] is None else f" -> {action['target_version']}"
    what = f"{action['serving']}/{action['model_name']} {action['bad_version']}{to}"
    return f"#{action['id']}  {received}  {what}  {action['state']} ({action['reason']})  {action['alertname']}"
