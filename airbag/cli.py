"""The `airbag` command: joins the parts, each imported only when it is asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from airbag import __version__
from airbag.errors import AirbagError

COMMANDS = {
    "approve": ("airbag_rollback.commands.approve", "Let an action go on that waits for a person's word."),
    "audit": ("airbag_rollback.commands.audit", "Show, verify or export the audit of everything that was done."),
    "certificates": ("airbag.certificates.command", "Make and renew the certificates of a small site."),
    "check": ("airbag.check_command", "Check the whole chain from a fault to an action, and how long it takes."),
    "clear": ("airbag_rollback.commands.clear", "Let a release be acted on again after an action that ended."),
    "demo": ("airbag_demo.commands", "Show a bad release being rolled back, on this machine."),
    "drill": ("airbag_rollback.commands.drill", "Go the whole way of a rollback without touching anything."),
    "explain": ("airbag_rollback.commands.explain", "Say what would be decided about a model now, and why."),
    "exporter": ("airbag_exporters.commands", "Run an exporter: serving, quality or host."),
    "golden": ("airbag_exporters.golden_commands", "Record golden requests from a good version, and ask them by hand."),
    "healthcheck": ("airbag.healthcheck_command", "Ask a process of this machine whether it is healthy."),
    "history": ("airbag_rollback.commands.history", "Show what was done, or how one action went."),
    "journal": ("airbag_rollback.commands.journal", "Move the receiver's journal to another database."),
    "pause": ("airbag_rollback.commands.pause", "Hold back rollbacks of a model, or of all."),
    "receiver": ("airbag_rollback.commands.receiver", "Run the rollback receiver."),
    "reference": ("airbag_exporters.reference_commands", "Build and compare profiles of training data."),
    "reject": ("airbag_rollback.commands.reject", "Say no to an action that has touched nothing yet."),
    "release": ("airbag_rollback.commands.release", "Put a new version live beside the last good one."),
    "replay": ("airbag_rollback.commands.replay", "Say what the policy would have done in Prometheus' history."),
    "repo": ("airbag_rollback.commands.repo", "Show what lies in the model store, and take away what nobody needs."),
    "report": ("airbag_rollback.commands.report", "Write what happened to a model, with charts, for a post-mortem."),
    "resume": ("airbag_rollback.commands.resume", "End a pause."),
    "rollback": ("airbag_rollback.commands.rollback", "Go back to an earlier version now, and follow how it goes."),
    "rules": ("airbag_exporters.rules.commands", "Write Prometheus' rules for the configured profile and windows."),
    "status": ("airbag_rollback.commands.status", "Show what serves and what the receiver is doing."),
    "up": ("airbag_demo.commands", "Run the whole stack on this machine until Ctrl-C."),
    "versions": (
        "airbag_rollback.commands.versions",
        "Show a model's versions and which of them one could go back to.",
    ),
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
