"""Watches a release for a while and goes back unless it is shown to be good."""

from __future__ import annotations

import time
from typing import Any

import click

from airbag.errors import AirbagError
from airbag_rollback.commands.client import Client
from airbag_rollback.commands.follow import follow
from airbag_rollback.commands.rollback import order

_EVERY = 1.0
_LOADED = "AirbagVersionLoadFailed"
"""That a version loads is not yet good: this signal convicts and does not acquit."""


class GateClosed(AirbagError):
    """The release did not pass; the message says what became of it."""

    reason = "gate_closed"


def watch(client: Client, group: str, model: str, version: int, before: int | None, seconds: float) -> None:
    """Return when `version` was seen good and never bad for so long; else order the rollback to `before`, and raise.

    In a gated release no data goes back, other than in steady state, where no data never acts.
    """
    end = time.monotonic() + seconds
    good: set[str] = set()
    trouble = ""
    while True:
        try:
            found = client.get("/v1/explain", serving=group, model=model)
        except AirbagError as error:
            trouble = f"the latest look failed: {error}"
        else:
            trouble = found["unreachable"]
            if not trouble and found["suspect"] != version:
                raise GateClosed(f"{model} {version} does not serve any more: {found['serves']} does")
            bad = [each for each in found["signals"] if each["verdict"] == "bad"]
            if bad:
                _go_back(client, group, model, before, f"{bad[0]['alertname']}: {bad[0]['text']}")
            good |= _good(found["signals"])
        if time.monotonic() >= end:
            break
        time.sleep(_EVERY)
    if not good:
        _go_back(client, group, model, before, trouble or f"no signal called {version} good within {seconds:g} s")
    click.echo(f"{model} on {group}: {version} passed the gate: good by {', '.join(sorted(good))}")


def _good(signals: list[dict[str, Any]]) -> set[str]:
    return {each["alertname"] for each in signals if each["verdict"] == "good" and each["alertname"] != _LOADED}


def _go_back(client: Client, group: str, model: str, before: int | None, why: str) -> None:
    """Order the rollback, follow it, and raise GateClosed when it succeeded; what it raises else says why not."""
    click.echo(f"{model} on {group}: the gate stays shut: {why}")
    action = order(client, group, model, before, f"gate: {why}"[:500])
    follow(client, action["id"])
    raise GateClosed(f"{model} on {group} went back to {before if before is not None else 'the version before'}: {why}")
