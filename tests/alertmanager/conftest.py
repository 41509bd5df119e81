"""Fixtures of the receiver's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import rollback


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
