"""Where the journal lies: a file on this host, or a PostgreSQL database that several hosts share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Discriminator, Tag

from airbag.config import LocalPath, Secret, Section

_SECRETS = ("password", "sslpassword")


def _words(text: str) -> Mapping[str, str]:
    """The words of a libpq connection string, as KEY=VALUE; ValueError when it is none.

    libpq's own reader comes with psycopg, which a machine that only checks the policy need not have.
    """
    found: dict[str, str] = {}
    rest = text.strip()
    while rest:
        key, equals, rest = rest.partition("=")
        key = key.strip()
        if not equals or not key.isidentifier():
            raise ValueError('should be words such as "host=db.example.com dbname=airbag user=airbag"')
        value, rest = _value(rest.lstrip())
        found[key] = value
    return found


def _value(rest: str) -> tuple[str, str]:
    """One value, bare or in single quotes, and what follows it."""
    if not rest.startswith("'"):
        value, _, rest = rest.partition(" ")
        return value, rest.lstrip()
    at = 1
    while at < len(rest) and rest[at] != "'":
        at += 2 if rest[at] == "\\" else 1
    if at >= len(rest):
        raise ValueError("has a quote that is not closed")
    return rest[1:at], rest[at + 1 :].lstrip()


def _without_secrets(text: str) -> str:
    words = _words(text)
    for secret in _SECRETS:
        if secret in words:
            raise ValueError(f"holds `{secret}`, which has no place in this file; write `password: {{file: ...}}`")
    if "dbname" not in words:
        raise ValueError("names no database; add `dbname=airbag`")
    return text


class PostgresqlJournal(Section):
    """A database of a PostgreSQL server. `folder` is where this host keeps what scripts leave behind."""

    postgresql: Annotated[str, AfterValidator(_without_secrets)]
    password: Secret | None = None
    folder: LocalPath = Path("/var/lib/airbag")

    def __str__(self) -> str:
        words = _words(self.postgresql)
        return f"database {words['dbname']} on {words.get('host', 'this host')}"


def _kind(value: object) -> str:
    return "kind:postgresql" if isinstance(value, dict | PostgresqlJournal) else "kind:file"


Place = Path | PostgresqlJournal
"""A path is an SQLite file."""

PlaceText = Annotated[
    Annotated[LocalPath, Tag("kind:file")] | Annotated[PostgresqlJournal, Tag("kind:postgresql")],
    Discriminator(_kind),
]
"""How policy.yml writes it."""


def folder_of(place: Place) -> Path:
    """The folder of this host in which files of the receiver lie."""
    return place.parent if isinstance(place, Path) else place.folder
