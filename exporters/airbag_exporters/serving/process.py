"""The process: one poller per target, and the scrape page."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from starlette.applications import Starlette

from airbag.clock import Clock, SystemClock
from airbag.http import Address, Surface, serve
from airbag_exporters.config import ExportersConfig, load_exporters
from airbag_exporters.serving.collector import GroupState, ServingCollector
from airbag_exporters.serving.poll import Plan, Poller
from airbag_exporters.serving.wanted import PolicyFile


class Fleet:
    """The pollers of every target in the configuration. A target's counters outlive changes of its configuration."""

    def __init__(self, config: ExportersConfig, clock: Clock) -> None:
        self._clock = clock
        self._changing = threading.RLock()  # reentrant: a signal may interrupt a reload
        self._running: dict[Poller, threading.Thread] = {}
        self._pollers: dict[tuple[str, str], Poller] = {}
        self._files: dict[Path, PolicyFile] = {}
        self._config = config
        self.adopt(config)

    def adopt(self, config: ExportersConfig) -> None:
        """Poll what `config` names from now on, and nothing else."""
        with self._changing:
            plans = {
                (group.name, target.name): Plan(group, target) for group in config.servings for target in group.targets
            }
            pollers = {key: self._pollers.get(key) or Poller(plan, self._clock) for key, plan in plans.items()}
            for key, poller in pollers.items():
                poller.adopt(plans[key])
            for key in self._pollers.keys() - pollers.keys():
                self._pollers[key].stop()
            paths = {group.model_config_file for group in config.servings if group.model_config_file}
            self._files = {path: self._files.get(path) or PolicyFile(path) for path in paths}
            self._pollers, self._config = pollers, config
            if self._running:
                self.start()

    def start(self) -> None:
        """Begin to poll."""
        with self._changing:
            for (group, target), poller in self._pollers.items():
                if poller not in self._running:
                    thread = threading.Thread(target=poller.run, name=f"poll {group}/{target}", daemon=True)
                    self._running[poller] = thread
                    thread.start()

    def stop(self) -> None:
        """End every thread; returns within about two seconds."""
        for poller in self._running:
            poller.stop()
        for thread in self._running.values():
            thread.join(timeout=2.0)

    def read(self) -> Iterator[GroupState]:
        """What is known now, group by group."""
        with self._changing:
            config, pollers, files = self._config, self._pollers, self._files
        for group in config.servings:
            file = files[group.model_config_file] if group.model_config_file else None
            states = {target.name: pollers[group.name, target.name].state for target in group.targets}
            yield GroupState(group, file.policies() if file else {}, states)

    def not_ready(self) -> str | None:
        """Which targets nobody has tried to poll yet."""
        waiting = [
            f"{each.group.name}/{name}"
            for each in self.read()
            for name, state in each.targets.items()
            if state.polled_at is None
        ]
        return f"no poll yet of {', '.join(waiting)}" if waiting else None


def run(config_file: Path, config: ExportersConfig, address: Address) -> None:
    """Serve until SIGTERM or SIGINT. StartError when the address is taken."""
    fleet = Fleet(config, SystemClock())
    surface = Surface(
        "airbag serving exporter",
        not_ready=fleet.not_ready,
        reload=lambda: fleet.adopt(load_exporters(config_file)),
    )
    surface.registry.register(ServingCollector(fleet.read))

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        fleet.start()
        yield
        fleet.stop()

    serve(Starlette(routes=surface.routes(), lifespan=lifespan), surface, address)
