"""Finds the serving that a command means."""

from __future__ import annotations

from urllib.parse import quote

from airbag.errors import ConfigError, Problem
from airbag_rollback.commands.client import Client


def place_of(client: Client, model: str, serving: str | None) -> tuple[str, str]:
    """Serving and model, by the receiver's own list. ConfigError with what is there when it is none or several."""
    known = [(each["serving"], each["model_name"]) for each in client.get("/v1/models")["models"]]
    found = [each for each in known if each[1] == model and serving in (None, each[0])]
    if len(found) == 1:
        return found[0]
    there = "there: " + ", ".join(f"{each}/{name}" for each, name in known)
    what = "is on several servings; choose one with --serving" if found else "is on no such serving"
    raise ConfigError("receiver", [Problem(f"model {model}", what, there)])


def path_of(*parts: str) -> str:
    """A path of the API, from names as people write them."""
    return "/".join(["", *(quote(part, safe="*") for part in parts)])
