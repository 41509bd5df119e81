"""The pollers of every configured target, each on a thread of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from airbag.clock import Clock
from airbag.disk import lock_file
from airbag.errors import StartError
from airbag.serving.groups import Expectations, ServingGroup
from airbag_exporters.config import ExportersConfig
from airbag_exporters.serving.own_requests import OwnRequests
from airbag_exporters.serving.poll import Plan, Poller
from airbag_exporters.serving.state_file import StateFile
from airbag_exporters.serving.target_state import TargetState
from airbag_exporters.serving.wanted import FileModel, ModelsFile

Key = tuple[str, str]
"""Names of a serving and of a target."""

Listener = Callable[[str, str, OwnRequests], Callable[[TargetState], None]]


@dataclass(frozen=True)
class GroupState:
    """One group of the configuration: what its models.config says, and its servers by target name."""

    group: ServingGroup
    file: Mapping[str, FileModel]
    targets: Mapping[str, TargetState]

    @property
    def expectations(self) -> Mapping[str, Expectations]:
        """The thresholds of every model that is watched on some server."""
        return {model.name: model.expect for state in self.targets.values() for model in state.models}


class Fleet:
    """Polls what the configuration names. A target's counters outlive changes of its configuration.

    StartError when another process keeps its counters in the same folder.
    """

    def __init__(self, config: ExportersConfig, clock: Clock, listener: Listener | None = None) -> None:
        self._clock = clock
        self._listener = listener
        self._changing = threading.RLock()  # reentrant: a signal may interrupt a reload
        self._running: dict[Poller, threading.Thread] = {}
        self._pollers: dict[Key, Poller] = {}
        self._files: dict[Path, ModelsFile] = {}
        self._config = config
        self._state_folder = config.state_folder
        self._held = _held(config.state_folder) if config.state_folder else None
        self.adopt(config)

    def adopt(self, config: ExportersConfig) -> None:
        """Poll what `config` names from now on, and nothing else. A new `state_folder` takes a restart."""
        with self._changing:
            paths = {group.model_config_file for group in config.servings if group.model_config_file}
            self._files = {path: self._files.get(path) or ModelsFile(path) for path in paths}
            plans = {(plan.serving, plan.target): plan for plan in self._plans(config)}
            pollers = {key: self._pollers.get(key) or self._poller(plan) for key, plan in plans.items()}
            for key, poller in pollers.items():
                poller.adopt(plans[key])
            for key in self._pollers.keys() - pollers.keys():
                self._pollers[key].stop()
            self._pollers, self._config = pollers, config
            if self._running:
                self.start()

    def start(self) -> None:
        """Begin to poll."""
        with self._changing:
            for (serving, target), poller in self._pollers.items():
                if poller not in self._running:
                    thread = threading.Thread(target=poller.run, name=f"poll {serving}/{target}", daemon=True)
                    self._running[poller] = thread
                    thread.start()

    def stop(self) -> None:
        """End every thread; returns within about two seconds."""
        for poller in self._running:
            poller.stop()
        for thread in self._running.values():
            thread.join(timeout=2.0)
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def scraped(self) -> None:
        """The page of all of them is being read now."""
        now = self._clock.monotonic()
        with self._changing:
            for poller in self._pollers.values():
                poller.rhythm.scraped(now)

    def read(self) -> Iterator[GroupState]:
        """What is known now, group by group."""
        with self._changing:
            config, pollers = self._config, self._pollers
        for group in config.servings:
            states = {target.name: pollers[group.name, target.name].state for target in group.targets}
            yield GroupState(group, self.file(group), states)

    def file(self, group: ServingGroup) -> Mapping[str, FileModel]:
        """What the models.config of a group says."""
        file = self._files.get(group.model_config_file) if group.model_config_file else None
        return file.models() if file else {}

    def file_of(self, serving: str) -> Mapping[str, FileModel]:
        """The same by the name of the group; empty for one that is not configured."""
        group = self._config.group(serving)
        return self.file(group) if group else {}

    def not_ready(self) -> str | None:
        """Which targets nobody has tried to poll yet."""
        waiting = [
            f"{each.group.name}/{name}"
            for each in self.read()
            for name, state in each.targets.items()
            if state.polled_at is None
        ]
        return f"no poll yet of {', '.join(waiting)}" if waiting else None

    def _plans(self, config: ExportersConfig) -> Iterable[Plan]:
        for group in config.servings:
            for target in group.targets:
                yield Plan(group.name, target.name, group.endpoint(target), group, partial(self.file, group))

    def _poller(self, plan: Plan) -> Poller:
        folder = self._state_folder
        poller = Poller(plan, self._clock, StateFile(folder / f"{plan.serving}.{plan.target}.json") if folder else None)
        if self._listener:
            poller.listener = self._listener(plan.serving, plan.target, poller.own)
        return poller


def _held(folder: Path) -> int:
    """Lock the folder until the process ends."""
    try:
        return lock_file(folder / ".lock")
    except BlockingIOError as error:
        raise StartError(
            f"another exporter keeps its counters in {folder}. End it, or give this one a state_folder of its own"
        ) from error
    except OSError as error:
        raise StartError(f"cannot use state_folder {folder}: {error.strerror}. Make it writable") from error
