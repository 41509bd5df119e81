"""Where the servers come from, which rows a server can answer, and the report. `docs/conformance.md` explains."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.kit import rows
from tests.conformance.kit.facts import Facts
from tests.conformance.kit.server import ATTEMPTS, GROUPS, STATED, Running, started, wait_open
from tests.conformance.kit.store import Store, replace
from tests.conformance.kit.wire import Wire
from tests.conformance.kit.world import World, entry
from tests.fakes import saved_models

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
    "--patience": "seconds to wait for a state (30)",
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


def _option(config: pytest.Config, name: str) -> str:
    return str(config.getoption(name, "") or "")


def _patience(config: pytest.Config) -> float:
    return float(_option(config, "--patience") or 30)


def _command(config: pytest.Config) -> list[str] | None:
    """How to start a server; None if the suite was only shown a running one."""
    given = _option(config, "--server")
    if given:
        return shlex.split(given)
    return None if _option(config, "--target") else LOCAL


class Servers:
    """Hands out one server at a time, each with its models loaded: the target, or those that the suite starts."""

    def __init__(self, config: pytest.Config, scratch: Callable[[], Path]) -> None:
        self._config, self._scratch = config, scratch
        self._open = contextlib.ExitStack()
        self._name = ""
        self._current: tuple[World, Facts] | Exception | None = None

    def get(self, row: rows.Row) -> tuple[World, Facts]:
        """Raises again what went wrong when this server was made ready for the first time."""
        target, group = _option(self._config, "--target"), row.group
        name = "target" if target and not (row.is_destructive and _command(self._config)) else group
        if name != self._name:
            self.close()
            self._name = name
            try:
                self._current = self._target(target) if name == "target" else self._own(group)
            except Exception as error:  # noqa: BLE001 - kept for every row that asks
                self._current = error
        if isinstance(self._current, Exception):
            raise self._current
        assert self._current is not None
        return self._current

    def close(self) -> None:
        self._name = ""
        self._open.close()

    def _store(self, root: Path, seen: str | None = None) -> Store:
        store = Store(root, seen)
        self._open.callback(store.remove)
        return store

    def _own(self, group: str) -> tuple[World, Facts]:
        command = _command(self._config)
        assert command is not None
        folder = self._scratch()
        folder.chmod(0o755)
        file = folder / "models.config"
        patience = _patience(self._config)
        store = self._store(folder)
        world = World(
            Wire("127.0.0.1:1", None), store, patience=patience, config_file=file, attempts=ATTEMPTS.get(group)
        )
        world.publish_shared()
        replace(file, world.text(labels=False))
        server = self._open.enter_context(started(command, f"--model_config_file={file}", *GROUPS[group]))
        wait_open(server, 4 * patience)
        world.wire = self._open.enter_context(Wire(server.target, server.rest))
        world.pause_polling()
        world.serve_shared()
        return world, Facts(world, STATED[group])

    def _target(self, target: str) -> tuple[World, Facts]:
        config = self._config
        if not _option(config, "--models"):
            raise pytest.UsageError("--target needs --models: a folder that this suite and the server both see")
        models = Path(_option(config, "--models")).resolve()
        file = Path(_option(config, "--server-config") or models / "models.config")
        original = file.read_text(encoding="utf-8") if file.exists() else None
        wire = self._open.enter_context(Wire(target, _option(config, "--rest") or None))
        store = self._store(models, _option(config, "--server-models") or None)
        world = World(wire, store, patience=_patience(config), config_file=file if original is not None else None)
        self._open.callback(_leave, world, original)
        world.pause_polling()
        world.publish_shared()
        try:
            world.serve_shared()
        except Exception as error:
            raise AssertionError(
                f"the server at {target} did not serve models below {world.seen(store.root)}: {error}. Does it see "
                "that folder (SERVER_MODELS=), and does it poll it (--file_system_poll_wait_seconds=1)?"
            ) from error
        return world, Facts(world)


def _leave(world: World, original: str | None) -> None:
    """Give the server back what its file said, or nothing to serve."""
    with contextlib.suppress(Exception):
        world.wire.reload(_parsed(original), timeout=world.patience)
    if world.config_file is not None and original is not None:
        replace(world.config_file, original)


def _parsed(original: str | None) -> Any:
    from tests.conformance.kit.wire import parse_config

    return parse_config(original or "model_config_list {}")


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    found = Servers(pytestconfig, lambda: tmp_path_factory.mktemp("models"))
    yield found
    found.close()


@pytest.fixture
def world(request: pytest.FixtureRequest, servers: Servers) -> Iterator[World]:
    """The server for this row; the row is skipped where that server cannot show it."""
    row = rows.of(request.node)
    assert row is not None
    config = request.config
    if row.is_destructive and not _command(config) and _option(config, "--destructive") != "1":
        pytest.skip("only a restart heals the server after it: give DESTRUCTIVE=1, or SERVER= for a server of its own")
    world, facts = servers.get(row)
    lacking = facts.lacking(row.needs)
    if lacking:
        pytest.skip(lacking)
    yield world
    if row.is_destructive and _command(config):
        servers.close()


class Launcher:
    """Starts servers of a row's own, each in its own folder of models."""

    def __init__(self, command: list[str], folder: Path, patience: float) -> None:
        self._command, self.folder, self.patience = command, folder, patience
        folder.chmod(0o755)

    def base(self, name: str = "m") -> Path:
        return self.folder / name

    def config(self, models: Mapping[str, str]) -> str:
        """A models.config of these models; returns the flag that names it."""
        text = "\n".join(entry(name, str(self.base(name)), more) for name, more in models.items())
        file = self.folder / "models.config"
        replace(file, f"model_config_list {{\n{text}\n}}\n")
        return f"--model_config_file={file}"

    def model(self, name: str = "m") -> str:
        """One good version of a model; returns the flag that serves it."""
        if not self.base(name).exists():
            saved_models.add_model(self.base(name), 1)
        return f"--model_base_path={self.base(name)}"

    @contextlib.contextmanager
    def start(self, *flags: str, wait: bool = True, rest: bool = True, **more: Any) -> Iterator[tuple[Running, Wire]]:
        """With `wait` the ports are open when the block begins."""
        own = [] if any("model_config_file=" in flag for flag in flags) else ["--model_name=m"]
        with started(self._command, *own, *flags, rest=rest, **more) as server:
            if wait:
                wait_open(server, 4 * self.patience, rest=rest)
            with Wire(server.target, server.rest) as wire:
                yield server, wire

    def end(self, *flags: str) -> tuple[int, str]:
        """Start a server that must end by itself: its exit code and all it said."""
        with self.start(*flags, wait=False) as (server, _):
            return server.process.wait(4 * self.patience), server.log()


@pytest.fixture
def launcher(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> Launcher:
    command = _command(request.config)
    if command is None:
        pytest.skip("needs a process of its own: give SERVER=, the command that starts a server")
    servers.close()
    return Launcher(command, tmp_path, _patience(request.config))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Every row with its section, when the suite is run for itself; then what each section came to."""
    found: dict[tuple[str, str, str], str] = {}
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for outcome, reports in terminalreporter.stats.items():
        for report in reports:
            row = dict(getattr(report, "user_properties", ())).get("row")
            if row is None or outcome not in ("passed", "failed", "skipped", "error"):
                continue
            key = (row[0], row[1], row[2])
            found[key] = "failed" if outcome == "error" or found.get(key) == "failed" else outcome
            if outcome == "skipped":
                reasons[row[0]][str(report.longrepr[2]).removeprefix("Skipped: ")] += 1
    if not found:
        return
    _print(terminalreporter, config, found, reasons)


def _print(
    to: Any, config: pytest.Config, found: Mapping[tuple[str, str, str], str], reasons: Mapping[str, Counter[str]]
) -> None:
    keys = sorted(found, key=lambda key: [int(part) for part in key[0].split(".")])
    if any("conformance" in str(argument) for argument in config.invocation_params.args):
        to.section("conformance rows: section, result, evidence in the reference, statement")
        for key in keys:
            to.line(f"{key[0]:5} {found[key]:8} {key[2]}  {key[1]}")
    to.section("conformance by section")
    to.line(f"{'section':8}{'passed':>8}{'failed':>8}{'skipped':>8}  why skipped")
    total: Counter[str] = Counter()
    for section in dict.fromkeys(key[0] for key in keys):
        count = Counter(found[key] for key in keys if key[0] == section)
        total += count
        why = "; ".join(f"{number}x {reason}" for reason, number in reasons.get(section, Counter()).items())
        to.line(f"{section:8}{count['passed']:>8}{count['failed']:>8}{count['skipped']:>8}  {why}")
    to.line(f"{'all':8}{total['passed']:>8}{total['failed']:>8}{total['skipped']:>8}")
