"""Moves a journal from its file into a PostgreSQL database: every row with its number, so that the audit still fits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from airbag.disk import lock_file
from airbag.errors import AirbagError
from airbag_rollback.journal.database import Database
from airbag_rollback.journal.opening import open_database, open_reader, reports_of
from airbag_rollback.journal.verify import Report, verify_journal
from airbag_rollback.place import PostgresqlJournal

_FIRST = ("meta", "actions")
"""Tables that others refer to, or that say what the rest is."""


class NotCopied(AirbagError):
    """The journal was not copied; the place that it was to go to is as it was."""

    reason = "not_copied"


@dataclass(frozen=True)
class Copied:
    """How many rows each table has got, how many reports there are, and what became of the audit."""

    rows: dict[str, int]
    reports: int
    audit: Report


def copy_journal(source: Path, place: PostgresqlJournal, key: bytes) -> Copied:
    """Copy all of it in one transaction, and verify the audit there. `source` stays as it is.

    NotCopied when a receiver holds the file, the audit does not verify, or there is something at `place` already.
    """
    try:
        held = lock_file(Path(f"{source}.lock"))
    except OSError as error:
        raise NotCopied(f"a receiver runs on {source}: stop it first") from error
    try:
        before = verify_journal(source, [key])
        if before.wrong:
            raise NotCopied(f"the audit of {source} is not what was written: {before.wrong}")
        old = open_reader(source)
        try:
            target = open_database(place)
            try:
                rows = _copy(old, target)
                reports = _copy_reports(source, old, place, target)
            finally:
                target.close()
        finally:
            old.close()
    finally:
        os.close(held)
    after = verify_journal(place, [key])
    if after != before:
        raise NotCopied(f"the audit in {place} is not that of {source}: {after.wrong or after}. Do not use it")
    return Copied(rows, reports, after)


def _copy(old: Database, target: Database) -> dict[str, int]:
    counts: dict[str, int] = {}
    if old.rows("SELECT value FROM meta WHERE name = 'schema'") != [(str(target.schema),)]:
        raise NotCopied(f"{old.name} is of another schema: start this Airbag's receiver on it once, and stop it again")
    tables = [name for (name,) in old.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    tables = [name for name in tables if not name.startswith("sqlite_")]
    tables.sort(key=lambda name: name not in _FIRST)
    with old.still(), target.write("copy") as connection:
        for table in tables:
            own = " WHERE name != 'schema'" if table == "meta" else ""
            if connection.execute(f"SELECT 1 FROM {table}{own} LIMIT 1").rows:  # noqa: S608 - our own tables
                raise NotCopied(f"{target.name} is not empty: {table} has rows. Take another database")
            columns = [column for _, column, *_ in old.rows(f"PRAGMA table_info({table})")]
            listed, marks = ", ".join(columns), ", ".join("?" * len(columns))
            rows = old.rows(f"SELECT {listed} FROM {table}{own} ORDER BY 1")  # noqa: S608 - our own tables
            connection.executemany(f"INSERT INTO {table} ({listed}) VALUES ({marks})", rows)  # noqa: S608 - our own tables
            counts[table] = len(rows)
        for table, last in old.rows("SELECT name, seq FROM sqlite_sequence"):
            connection.execute("SELECT setval(pg_get_serial_sequence(?, 'id'), ?)", (table, last))
        connection.execute("UPDATE leases SET expires = 0, locked = 0")  # nobody holds it, and its fence goes on
    return counts


def _copy_reports(source: Path, old: Database, place: PostgresqlJournal, target: Database) -> int:
    there, then = reports_of(source, old), reports_of(place, target)
    for name in there.names():
        then.put(name, there.get(name))
    return len(there.names())
