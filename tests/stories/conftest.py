"""What the stories share: the checkout, the trained releases, a stack on free ports in a temporary folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airbag_demo.ports import free_ports
from airbag_demo.releases import trained
from airbag_demo.stack import Stack
from airbag_demo.story import fill_store

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def releases() -> Path:
    """Good and bad versions of the digit classifier, trained by the demo's own trainer."""
    return trained(ROOT, print)


@pytest.fixture
def stack(releases: Path, tmp_path: Path) -> Iterator[Stack]:
    """A prepared stack with versions 1 and 2 in its store; nothing runs yet."""
    with free_ports() as ports:
        prepared = Stack(ROOT, tmp_path / "run", ports)
        prepared.prepare()
        fill_store(prepared, releases)
        yield prepared
