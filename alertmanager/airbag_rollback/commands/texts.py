"""How commands write times, durations and actions."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click


def moment(at: float | None) -> str:
    """A time as people read it, in UTC."""
    return "-" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def duration(seconds: float | None) -> str:
    """Seconds as people read them."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    for size, unit, smaller, name in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} {int(seconds % size // smaller)} {name}"
    raise AssertionError(seconds)


def what_of(action: dict[str, Any]) -> str:
    """What an action is about: `main/digits 3 -> 2`."""
    to = "" if action["target_version"] is None else f" -> {action['target_version']}"
    return f"{action['serving']}/{action['model_name']} {action['bad_version']}{to}"


def line_of(action: dict[str, Any]) -> str:
    """An action in one line."""
    reason = f" ({action['reason']})" if action["reason"] else ""
    return f"#{action['id']}  {what_of(action)}  {action['state']}{reason}"


def print_json(document: Any) -> None:  # JSON
    """The API's own answer."""
    click.echo(json.dumps(document, indent=2))
