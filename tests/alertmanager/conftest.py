"""Fixtures of the receiver's tests. What the journal promises, it promises over both of its databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airbag_rollback.place import Place
from tests.fakes import rollback
from tests.fakes.postgres_server import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests of a process; each takes a database of its own."""
    with postgres_server() as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place for a journal, in each of the databases."""
    if request.param == "sqlite":
        return tmp_path / "journal.sqlite"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.place(server.database())


@pytest.fixture
def around(tmp_path: Path) -> Iterator[rollback.Surroundings]:
    """Fakes and files around a receiver; version 2 of digits serves."""
    with rollback.surroundings(tmp_path) as found:
        yield found


@pytest.fixture
def desk(around: rollback.Surroundings) -> Iterator[rollback.Bench]:
    """A receiver whose time is set, with version 3 just released over a proven 2, and bad."""
    with rollback.bench(around) as found:
        found.released()
        around.bad_release()
        yield found
