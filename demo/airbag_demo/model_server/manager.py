"""The version manager at work: a tick every 100 ms, loads with retries, unloads that wait for running requests."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

from airbag_demo.model_server.aspired import Act, Action, Aspirations, Held, Hold
from airbag_demo.model_server.routing import Route, RoutingTable
from airbag_demo.model_server.states import Event, EventBus, State
from airbag_demo.model_server.status import OK, Code, Status, StatusError

log = logging.getLogger("airbag.model_server")

TICK_SECONDS = 0.1
T = TypeVar("T")
CANCELLED = Status(Code.CANCELLED, "Loading of servable cancelled")


class Servable(Protocol):
    """A loaded model version."""

    def close(self) -> None:
        """Free it. Called once, when no request holds it any more."""


class Loader(Protocol):
    """Turns a version directory into a servable. Both raise StatusError."""

    def reserve(self, path: str) -> None:
        """Look whether the version can be loaded at all, before its load is announced."""

    def load(self, path: str) -> Servable:
        """Read, initialise and warm up."""


@dataclass(frozen=True)
class Options:
    """`retry_seconds` passes between the tries of one load; 0 threads means inside the manager's own thread."""

    load_threads: int = 0
    unload_threads: int = 0
    max_retries: int = 5
    retry_seconds: float = 60.0


class VersionManager:
    """Brings what is held to what is asked for, one action per tick over all models."""

    def __init__(self, loader: Loader, bus: EventBus, options: Options) -> None:
        self.routes: RoutingTable[Servable] = RoutingTable()
        self._loader = loader
        self._bus = bus
        self._options = options
        self._state = threading.Lock()
        """Held while the state is read or changed, and during a swap: a request that never ends blocks everything."""
        self._asking = threading.Lock()
        self._asked: dict[str, Mapping[int, str]] = {}
        self._aspirations = Aspirations()
        self._servables: dict[tuple[str, int], Servable] = {}
        self._pools = threading.Lock()
        self._load_pool = _pool(options.load_threads)
        self._unload_pool = _pool(options.unload_threads)

    def start(self) -> None:
        threading.Thread(target=self._run, name="manager", daemon=True).start()

    def ask(self, name: str, paths: Mapping[int, str]) -> None:
        """Request that exactly these versions of the model be served; returns at once."""
        with self._asking:
            self._asked[name] = paths

    def use_load_threads(self, count: int) -> None:
        """Load with so many threads from now on; waits for the loads that run in the threads used before."""
        with self._pools:
            before, self._load_pool = self._load_pool, _pool(count)
        if before is not None:
            before.shutdown(wait=True)

    def tick(self) -> None:
        with self._state:
            with self._asking:
                asked, self._asked = self._asked, {}
            for name, paths in asked.items():
                self._aspirations.ask(name, paths)
            events, action = self._aspirations.tick()
            if action is not None:
                action.held.hold = Hold.LOADING if action.act is Act.LOAD else Hold.UNLOADING
            for event in events:
                self._bus.publish(event)
        if action is not None:
            self._perform(action)

    def _run(self) -> None:
        while True:
            started = time.monotonic()
            try:
                self.tick()
            except Exception:
                log.exception("the manager's turn failed")
            time.sleep(max(0.0, started + TICK_SECONDS - time.monotonic()))

    def _perform(self, action: Action) -> None:
        work = self._load if action.act is Act.LOAD else self._unload
        with self._pools:
            pool = self._load_pool if action.act is Act.LOAD else self._unload_pool
            if pool is not None:
                pool.submit(work, action.held)
                return
        work(action.held)

    def _load(self, held: Held) -> None:
        try:
            self._retry(held, f"Reserving resources for servable: {held}", lambda: self._reserve(held))
            self._publish(held, State.LOADING)
            log.info("Loading servable version %s", held)
            servable = self._retry(held, f"Loading servable: {held}", lambda: self._loader.load(held.path))
        except StatusError as error:
            self._fail(held, error.status)
            return
        with self._state:
            if not held.cancelled:
                log.info("Successfully loaded servable version %s", held)
                held.hold = Hold.READY
                self._servables[held.name, held.version] = servable
                self._swap()
                self._publish(held, State.AVAILABLE)
                return
        servable.close()
        self._fail(held, CANCELLED)

    def _reserve(self, held: Held) -> None:
        try:
            self._loader.reserve(held.path)
        except StatusError as error:
            message = f"Error while attempting to reserve resources to load servable {held}: {error.status.message}"
            raise StatusError(error.status.code, message) from error

    def _fail(self, held: Held, status: Status) -> None:
        with self._state:
            held.hold, held.status = Hold.ERROR, status
        log.error("Servable %s cannot be loaded: %s", held, status)
        self._publish(held, State.END, status)

    def _retry(self, held: Held, what: str, work: Callable[[], T]) -> T:
        """Try, and try again after each pause. A cancel is seen after the pause and one more try."""
        tries = 0
        while True:
            if tries:
                time.sleep(max(0.0, self._options.retry_seconds))
                log.info("Retrying of %s retry: %d", what, tries)
            tries += 1
            try:
                return work()
            except StatusError as error:
                log.error("%s failed: %s", what, error.status)  # noqa: TRY400 - the real server's one line
                if held.cancelled:
                    log.info("Retrying of %s was cancelled.", what)
                    raise
                if tries > self._options.max_retries:
                    log.info("Retrying of %s exhausted max_num_retries: %d", what, self._options.max_retries)
                    raise

    def _unload(self, held: Held) -> None:
        with self._state:
            log.info("Quiescing servable version %s", held)
            self._publish(held, State.UNLOADING)
            servable = self._servables.pop((held.name, held.version))
            self._swap()
        servable.close()
        with self._state:
            held.hold = Hold.DISABLED
        log.info("Done unloading servable version %s", held)
        self._publish(held, State.END)

    def _swap(self) -> None:
        self.routes.swap(Route(name, version, s) for (name, version), s in self._servables.items())

    def _publish(self, held: Held, state: State, status: Status = OK) -> None:
        self._bus.publish(Event(held.name, held.version, state, status))


def _pool(threads: int) -> ThreadPoolExecutor | None:
    return ThreadPoolExecutor(threads, thread_name_prefix="load") if threads else None
