"""Fixtures of the scripts' tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes import rollback
from tests.fakes.scripts import Stage, write_script


@pytest.fixture
def around(tmp_path: Path) -> Iterator[rollback.Surroundings]:
    """Fakes and files around a receiver; version 2 of digits serves."""
    with rollback.surroundings(tmp_path) as found:
        yield found


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Stage]:
    """Makes a landing of a shell script's text."""

    def make(body: str, timeout: float = 30.0, grace: float = 0.5, **environment: str) -> Stage:
        script = write_script(tmp_path / "script", body)
        return Stage(script, tmp_path / "state", environment, timeout, grace)

    return make
