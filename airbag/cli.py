"""The `airbag` command: joins the parts, each imported only when it is asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from airbag import __version__
from airbag.errors import AirbagError

COMMANDS = {
    "check": ("airbag.check_command", "Check the whole chain from a fault to an action, and how long it takes."),
    "demo": ("airbag_demo.commands", "Show a bad release being rolled back, on this machine."),
    "exporter": ("airbag_exporters.commands", "Run an exporter: serving, quality or host."),
    "golden": ("airbag_exporters.golden_commands", "Record golden requests from a good version, and ask them by hand."),
    "receiver": ("airbag_rollback.commands.receiver", "Run the rollback receiver."),
    "release": ("airbag_rollback.commands.release", "Put a new version live beside the last good one."),
    "reference": ("airbag_exporters.reference_commands", "Build and compare profiles of training data."),
    "rules": (
        "airbag_exporters.rules.commands",
        "Write Prometheus' rules for the configured profile and windows.",
    ),
    "repo": ("airbag_rollback.commands.repo", "Show what lies in the model store, and take away what nobody needs."),
    "status": ("airbag_rollback.commands.status", "Show what serves and what the receiver is doing."),
    "up": ("airbag_demo.commands", "Run the whole stack on this machine until Ctrl-C."),
}


class _Lazy(click.Group):
    """Lists every command without importing any."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(COMMANDS[cmd_name][0]), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="airbag")
def airbag() -> None:
    """Observability and automatic rollback for TensorFlow Serving."""


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point. Exits 1 with one clear message when something fails that is not a bug, 2 for wrong usage."""
    try:
        airbag.main(args=list(argv) if argv is not None else None, prog_name="airbag")
    except AirbagError as error:
        click.echo(f"airbag: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        click.echo(f"airbag: {error.strerror or error}{place}", err=True)
        sys.exit(1)
