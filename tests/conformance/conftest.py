"""Which rows run against which server, and the report. `docs/conformance.md` explains the options."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.kit import rows
from tests.conformance.kit.facts import Facts
from tests.conformance.kit.report import summarise
from tests.conformance.kit.servers import Launcher, Options, Servers
from tests.conformance.kit.world import World

LOCAL = [sys.executable, "-m", "airbag_demo.model_server"]
ORDER = ("main", "inline", "batching", "own")
OPTIONS = {
    "--target": "host:port of the gRPC port of a running server; it will be reconfigured",
    "--rest": "host:port of its REST port",
    "--models": "a folder that the suite can write and the server can read",
    "--server-models": "the same folder as the server names it, if that differs",
    "--server-config": "the file given to --model_config_file; default MODELS/models.config if it is there",
    "--server": "a command that starts a server, flags are appended; default without --target: the local model server",
    "--destructive": "1: also run the rows after which only a restart heals the target",
    "--patience": "seconds to wait for a state (60)",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    for name, text in OPTIONS.items():
        group.addoption(name, default="", help=text)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "row: a row of the conformance suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Rows run server by server, and the dangerous ones last. Tests that are no rows stay where they are."""
    places = [index for index, item in enumerate(items) if rows.of(item)]
    found = sorted((items[index] for index in places), key=_turn)
    for index, item in zip(places, found, strict=True):
        items[index] = item
        row = rows.of(item)
        assert row is not None
        item.user_properties.append(("row", [row.section, row.statement, row.evidence]))


def _turn(item: pytest.Item) -> tuple[bool, int, int]:
    row = rows.of(item)
    assert row is not None
    return row.is_destructive, ORDER.index(row.group), row.late


def options(config: pytest.Config) -> Options:
    """What was given on the command line. Options that were never registered count as not given."""

    def text(name: str) -> str:
        return str(config.getoption(name, "") or "")

    command = shlex.split(text("--server")) or (None if text("--target") else LOCAL)
    return Options(
        text("--target"), text("--rest"), text("--models"), text("--server-models"), text("--server-config"),
        command, text("--destructive") == "1", float(text("--patience") or 60),
    )  # fmt: skip


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    found = Servers(options(pytestconfig), lambda: tmp_path_factory.mktemp("models"))
    yield found
    found.close()


@pytest.fixture
def world(request: pytest.FixtureRequest, servers: Servers) -> Iterator[World]:
    """The server for this row; the row is skipped where that server cannot show it."""
    row, given = _row(request), options(request.config)
    if row.is_destructive and not given.command and not given.destructive:
        pytest.skip("only a restart heals the server after it: give DESTRUCTIVE=1, or SERVER= for a server of its own")
    world, facts = servers.get(row)
    lacking = facts.lacking(row.needs)
    if lacking:
        pytest.skip(lacking)
    yield world
    if row.is_destructive and given.command:
        servers.close()


@pytest.fixture
def facts(world: World, servers: Servers, request: pytest.FixtureRequest) -> Facts:
    """What is known of the row's server."""
    return servers.get(_row(request))[1]


@pytest.fixture
def launcher(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> Launcher:
    """Starts servers for this row alone; no other server of the suite runs meanwhile."""
    given = options(request.config)
    if given.command is None:
        pytest.skip("needs a process of its own: give SERVER=, the command that starts a server")
    servers.close()
    return Launcher(given.command, tmp_path, given.patience)


def _row(request: pytest.FixtureRequest) -> rows.Row:
    row = rows.of(request.node)
    assert row is not None
    return row


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Every row is listed when the suite is run for itself; else only what each section came to."""
    summarise(terminalreporter, every_row=any("conformance" in str(each) for each in config.invocation_params.args))
