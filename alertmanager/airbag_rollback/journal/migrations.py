"""From one schema of the journal to the next.

A migration is one transaction with the new number of the schema: after a crash in the middle the old one is there as
it was. It is written for both databases, in SQLite's words for types. A new journal goes the same way, from the first
schema on. A migration that was released is never changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airbag.errors import StartError
from airbag_rollback.journal.schema import FIRST


@dataclass(frozen=True)
class Migration:
    """What takes a journal one schema further: `about` in a few words, and the statements."""

    about: str
    statements: tuple[str, ...]


MIGRATIONS: tuple[Migration, ...] = ()
"""The first leads from schema FIRST to the one after it."""


def current(migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """The schema that this Airbag writes."""
    return FIRST + len(migrations)


def ahead(name: str, found: str, migrations: Sequence[Migration]) -> Sequence[tuple[int, Migration]]:
    """What is left to do for a journal of schema `found`, each with the number that it begins from.

    StartError when no way leads from there to here.
    """
    newest = current(migrations)
    if not found.isdigit() or not FIRST <= int(found) <= newest:
        writer = "the Airbag that wrote it"
        raise StartError(f"the journal {name} has schema {found}, this Airbag writes {newest}. Use {writer}")
    return [(number, migrations[number - FIRST]) for number in range(int(found), newest)]


def failed(name: str, number: int, error: object, copy: str) -> StartError:
    """Why the journal could not be taken further, and what to do."""
    return StartError(
        f"cannot take the journal {name} from schema {number} to {number + 1}: {error}. It is as it was{copy}. "
        "Make room or make it writable and start again, or go on with the Airbag that wrote it"
    )
