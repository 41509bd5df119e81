"""`airbag journal copy`."""

from __future__ import annotations

from pathlib import Path

import click

from airbag.config import load
from airbag.errors import ConfigError, Problem
from airbag.process import log_options
from airbag_rollback.journal.copying import copy_journal
from airbag_rollback.place import PostgresqlJournal
from airbag_rollback.policy import Policy


@click.group()
def journal() -> None:
    """Move the receiver's journal."""


@journal.command(epilog="Example: airbag journal copy /var/lib/airbag/journal.sqlite")
@click.argument("source", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--config.file", "config_file", type=click.Path(path_type=Path), default="alertmanager/policy.yml",
              show_default=True, help="The policy that names the new place.")  # fmt: skip
@log_options
def copy(source: Path, config_file: Path) -> None:
    """Copy a journal from its file into the empty PostgreSQL database of the policy.

    No receiver may run on either. All numbers and the whole audit stay as they are; the file is not changed.
    """
    policy = load(config_file, Policy)
    if not isinstance(policy.journal, PostgresqlJournal):
        problem = Problem("journal", "is a file", "name the PostgreSQL database to copy to")
        raise ConfigError(str(config_file), [problem])
    copied = copy_journal(source, policy.journal, policy.audit_key.read().encode())
    for table, count in copied.rows.items():
        click.echo(f"{count:8} {table}")
    click.echo(f"{copied.reports:8} reports")
    click.echo(f"the audit fits: records {copied.audit.first} to {copied.audit.last}, MAC {copied.audit.mac}")
    click.echo(f"now start the receivers on {policy.journal}, and move {source} away")
