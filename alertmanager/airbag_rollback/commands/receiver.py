"""`airbag receiver`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from airbag.http import Surface, Web, serve
from airbag.process import process_options
from airbag_rollback import failpoints
from airbag_rollback.app import create_app, has_own_rule
from airbag_rollback.config import load_settings
from airbag_rollback.receiver import assemble


@click.command()
@process_options("alertmanager/policy.yml", ":9815")
def receiver(config_file: Path, config_check: bool, web: Web) -> None:
    """Take alerts from Alertmanager, judge each anew, and roll back a bad release."""
    settings = load_settings(config_file)
    if config_check:
        click.echo(f"{config_file}: good")
        return
    failpoints.arm(os.environ)
    surface = Surface(
        "airbag receiver", links=[("/docs", "API"), ("/openapi.json", "OpenAPI")],
        about="Takes alerts from Alertmanager, judges each anew, and rolls back a bad release.",
    )  # fmt: skip
    parts = assemble(config_file, settings, surface.registry)
    surface.reload = parts.reload
    surface.ready_as = lambda: "ready" if parts.journal.lease.fence else "ready, as standby"
    surface.not_ready = lambda: parts.journal.database.last_error or None
    serve(create_app(parts, surface), surface, web, own_auth=has_own_rule)
