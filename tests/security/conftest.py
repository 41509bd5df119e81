"""One site for all that only ask it, with version 2 of a small model serving and a bad version 3 at hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airbag_demo.ports import free_ports
from airbag_demo.releases import trained
from airbag_demo.stack import Stack
from airbag_demo.story import fill_store
from tests.fakes.binaries import ROOT
from tests.security.site import Site, prepare, running


@pytest.fixture(scope="session")
def releases() -> Path:
    """Good and bad versions of the digit classifier, trained by the demo's own trainer."""
    return trained(ROOT, print)


@pytest.fixture(scope="module")  # it takes its share of the processors for as long as it lives
def site(releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Running."""
    with free_ports() as ports:
        stack = Stack(ROOT, tmp_path_factory.mktemp("site") / "run", ports)
        stack.prepare()
        fill_store(stack, releases)
        found = prepare(stack)
        with running(found):
            yield found
