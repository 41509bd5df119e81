"""Opens the journal's database, whichever it is. PostgreSQL's library is loaded only where it is needed."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from airbag.errors import StartError
from airbag_rollback.journal.database import Database
from airbag_rollback.journal.report_store import Folder, ReportStore, Table
from airbag_rollback.journal.sqlite import SqliteDatabase, SqliteReader
from airbag_rollback.journal.succession import OneHost, SeveralHosts, Succession
from airbag_rollback.place import Place


def open_database(place: Place) -> Database:
    """For a receiver: made or migrated where it has to be. StartError."""
    return SqliteDatabase(place) if isinstance(place, Path) else _postgresql().PostgresqlDatabase(place)


def open_reader(place: Place) -> Database:
    """For those who only look. JournalError when it is not there or cannot be read; StartError without the library."""
    return SqliteReader(place) if isinstance(place, Path) else _postgresql().PostgresqlReader(place)


def succession_of(place: Place) -> Succession:
    """How receivers on that journal find out that nobody leads."""
    return OneHost(place) if isinstance(place, Path) else SeveralHosts()


def reports_of(place: Place, database: Database) -> ReportStore:
    """Where its reports lie."""
    return Folder(place.parent / "reports") if isinstance(place, Path) else Table(database)


def _postgresql() -> Any:  # a module that is not there without its library
    try:
        return importlib.import_module("airbag_rollback.journal.postgresql")
    except ModuleNotFoundError as error:
        if error.name != "psycopg":
            raise
        raise StartError(
            "the journal lies in PostgreSQL, and psycopg is not installed: pip install 'tfs-airbag[postgresql]'"
        ) from error
