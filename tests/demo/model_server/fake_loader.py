"""A loader whose loads last and fail as a test wants, and the manager and core around it, on short times."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from airbag_demo.model_server.core import ServerCore, Wanted
from airbag_demo.model_server.manager import Options, VersionManager
from airbag_demo.model_server.states import EventBus, StateMonitor
from airbag_demo.model_server.status import Code, StatusError
from airbag_demo.model_server.storage import StoragePoller
from tests.fakes.wait import until


class FakeServable:
    def __init__(self, path: str) -> None:
        self.path = path
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


class FakeLoader:
    """Keyed by the end of the path, such as `m/3`. A load in `gates` waits for its event; one in `failures` fails
    as often as the number says (or always); one in `files` cannot even be reserved."""

    def __init__(self) -> None:
        self.gates: dict[str, threading.Event] = {}
        self.failures: dict[str, int] = {}
        self.files: set[str] = set()
        self.attempts: list[str] = []
        self.servables: dict[str, FakeServable] = {}

    def reserve(self, path: str) -> None:
        if _key(path) in self.files:
            raise StatusError(Code.FAILED_PRECONDITION, f"{path}; Not a directory")

    def load(self, path: str) -> FakeServable:
        key = _key(path)
        self.attempts.append(key)
        if key in self.gates:
            assert self.gates[key].wait(20)
        if self.failures.get(key, 0):
            self.failures[key] -= 1
            raise StatusError(Code.NOT_FOUND, "no graph")
        self.servables[key] = FakeServable(path)
        return self.servables[key]


class Repeater:
    """Does one thing again and again, far more often than the server would, until it is closed."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._closed.wait(0.01):
            self._work()


class Bench:
    """A running manager, a monitor that hears all its events, and requests that can be held open."""

    def __init__(self, loader: FakeLoader, **options: Any) -> None:
        self.bus = EventBus()
        self.monitor = StateMonitor()
        self.history = History()
        self.bus.subscribe(self.monitor)
        self.bus.subscribe(self.history)
        self.manager = VersionManager(loader, self.bus, Options(**{"max_retries": 0, "retry_seconds": 0.05, **options}))
        self._ticking = Repeater(self.manager.tick)

    def close(self) -> None:
        self._ticking.close()

    def ask(self, *versions: int, name: str = "m") -> None:
        self.manager.ask(name, {version: f"/base/{name}/{version}" for version in versions})

    def states(self, name: str = "m") -> str:
        return ", ".join(f"{event.version} {event.state.name}" for event in self.monitor.versions(name))

    def wait(self, states: str, name: str = "m") -> None:
        until(lambda: self.states(name) == states, timeout=10, what=f"{name}: {states}")

    def serve(self, *versions: int, name: str = "m") -> None:
        """Ask and wait until exactly these are there."""
        self.ask(*versions, name=name)
        self.wait(", ".join(f"{version} AVAILABLE" for version in sorted(versions, reverse=True)), name)

    def request(self, name: str = "m", version: int | None = None) -> OpenRequest:
        return OpenRequest(self.manager, name, version)

    def default(self, name: str = "m") -> int:
        with self.manager.routes.hold(name, None) as route:
            return route.version


class OpenRequest:
    """A request that runs until `finish`."""

    def __init__(self, manager: VersionManager, name: str, version: int | None) -> None:
        self._hold = manager.routes.hold(name, version)
        self.version = self._hold.__enter__().version

    def finish(self) -> None:
        self._hold.__exit__(None, None, None)


class History(StateMonitor):
    """Every event in order, in short."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def hear(self, event: Any) -> None:
        self.said.append(f"{event.version} {event.state.name}")
        super().hear(event)


class CoreBench:
    """A running core over directories that need only exist: the loader is a fake."""

    def __init__(self, root: Path, loader: FakeLoader, *, allow_labels: bool = False) -> None:
        self.root = root
        self.bus = EventBus()
        self.manager = VersionManager(loader, self.bus, Options(max_retries=0, retry_seconds=0.05))
        self.storage = StoragePoller(self.manager.ask, wait_seconds=-1)
        self.core = ServerCore(self.manager, self.bus, self.storage, allow_labels)
        self._running = [Repeater(self.manager.tick), Repeater(self.storage.poll)]

    def close(self) -> None:
        for one in self._running:
            one.close()

    def put(self, name: str, *versions: int) -> None:
        for version in versions:
            (self.root / name / str(version)).mkdir(parents=True)

    def start(self, *models: str) -> None:
        self.core.start(self.config(*models), 2, 0)

    def reload(self, *models: str) -> None:
        self.core.reload(self.config(*models))

    def refusal(self, *models: str) -> str:
        try:
            self.reload(*models)
        except StatusError as error:
            return str(error.status)
        return "OK"

    def config(self, *models: str) -> Any:
        """Each model is `name` or `name REST`, REST being more text of its ModelConfig."""
        texts = []
        for model in models:
            name, _, rest = model.partition(" ")
            base = "" if "base_path" in rest else f'base_path: "{self.root / name}"'
            platform = "" if "model_platform" in rest else 'model_platform: "tensorflow"'
            texts.append(f'config {{ name: "{name}" {base} {platform} {rest} }}')
        text = f"model_config_list {{ {' '.join(texts)} }}"
        return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())

    def states(self, name: str) -> str:
        return ", ".join(f"{event.version} {event.state.name}" for event in self.core.monitor.versions(name))

    def wait(self, name: str, states: str) -> None:
        until(lambda: self.states(name) == states, timeout=10, what=f"{name}: {states}")

    def answering(self, name: str, **choice: Any) -> int | str:
        """The version that answers a request now, or the status."""
        try:
            with self.core.hold(Wanted(name, **choice)) as route:
                return route.version
        except StatusError as error:
            return str(error.status)


def labels(mapping: Mapping[str, int]) -> str:
    return " ".join(f'version_labels {{ key: "{label}" value: {version} }}' for label, version in mapping.items())


def specific(*versions: int) -> str:
    return f"model_version_policy {{ specific {{ {' '.join(f'versions: {v}' for v in versions)} }} }}"


def _key(path: str) -> str:
    return "/".join(path.split("/")[-2:])
