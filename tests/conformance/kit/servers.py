"""Where servers come from: the one that the suite was shown, or those that it starts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.kit import rows
from tests.conformance.kit.facts import Facts
from tests.conformance.kit.server import ATTEMPTS, GROUPS, STATED, Running, started, wait_open
from tests.conformance.kit.store import Store, replace
from tests.conformance.kit.wire import Wire, parse_config
from tests.conformance.kit.world import World, entry
from tests.fakes import saved_models


@dataclass(frozen=True)
class Options:
    """What the suite was told; empty where it was not. `command` starts a server, None where there is no such."""

    target: str
    rest: str
    models: str
    server_models: str
    config: str
    command: list[str] | None
    destructive: bool
    patience: float


class Servers:
    """Hands out one server at a time, each with its models loaded: the target, or those that the suite starts."""

    def __init__(self, options: Options, scratch: Callable[[], Path]) -> None:
        self._options, self._scratch = options, scratch
        self._open = contextlib.ExitStack()
        self._name = ""
        self._current: tuple[World, Facts] | Exception | None = None

    def get(self, row: rows.Row) -> tuple[World, Facts]:
        """Raises again what went wrong when this server was made ready for the first time."""
        target, group = self._options.target, row.group
        name = "target" if target and not (row.is_destructive and self._options.command) else group
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
        command = self._options.command
        assert command is not None
        folder = self._scratch()
        folder.chmod(0o755)
        file = folder / "models.config"
        patience = self._options.patience
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
        options = self._options
        if not options.models:
            raise AssertionError("--target needs --models: a folder that this suite and the server both see")
        models = Path(options.models).resolve()
        file = Path(options.config or models / "models.config")
        original = file.read_text(encoding="utf-8") if file.exists() else None
        wire = self._open.enter_context(Wire(target, options.rest or None))
        store = self._store(models, options.server_models or None)
        world = World(wire, store, patience=options.patience, config_file=file if original is not None else None)
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
    return parse_config(original or "model_config_list {}")


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
