"""Which version is wanted, which is held, and what is to be done next: decisions without threads, clock or disk.

The real server calls a wanted version "aspired". Two of its traps are kept: a version that is held but no longer
aspired cannot be aspired again before it is gone (the whole request waits), and an aspired version that failed is
never tried again.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from airbag_demo.model_server.states import Event, State
from airbag_demo.model_server.status import OK, Status


class Hold(enum.Enum):
    """How far a held version has come."""

    NEW = "waiting to be loaded"
    LOADING = "being loaded"
    READY = "loaded"
    UNLOADING = "being unloaded"
    DISABLED = "unloaded"
    ERROR = "failed to load"


@dataclass
class Held:
    """One version the manager holds. `cancelled` asks a load in progress to stop trying."""

    name: str
    version: int
    path: str
    aspired: bool = True
    hold: Hold = Hold.NEW
    status: Status = OK
    cancelled: bool = False

    def __str__(self) -> str:
        return f"{{name: {self.name} version: {self.version}}}"


class Act(enum.Enum):
    LOAD = "load"
    UNLOAD = "unload"


@dataclass(frozen=True)
class Action:
    act: Act
    held: Held


class Aspirations:
    """The held versions of all models and the requests that wait. Not safe for use from several threads."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, int], Held] = {}
        self._pending: dict[str, Mapping[int, str]] = {}

    def ask(self, name: str, paths: Mapping[int, str]) -> None:
        """Request that exactly these versions be held. A request of the same model that still waits is replaced."""
        self._pending[name] = dict(paths)

    def tick(self) -> tuple[list[Event], Action | None]:
        """One turn: forget what is over, take the requests that can be taken, choose at most one action."""
        events = self._forget_ended() + self._take_requests()
        return events, next_action(self._held.values())

    def of(self, name: str) -> list[Held]:
        return [held for held in self._held.values() if held.name == name]

    def ready(self) -> list[Held]:
        return [held for held in self._held.values() if held.hold is Hold.READY]

    def _forget_ended(self) -> list[Event]:
        over = [
            held
            for held in self._held.values()
            if not held.aspired and held.hold in (Hold.NEW, Hold.DISABLED, Hold.ERROR)
        ]
        for held in over:
            del self._held[held.name, held.version]
        return [Event(held.name, held.version, State.END) for held in over if held.hold is Hold.NEW]

    def _take_requests(self) -> list[Event]:
        events: list[Event] = []
        for name, paths in list(self._pending.items()):
            if any(held.version in paths and not held.aspired for held in self.of(name)):
                continue
            del self._pending[name]
            events += self._take(name, paths)
        return events

    def _take(self, name: str, paths: Mapping[int, str]) -> list[Event]:
        for held in self.of(name):
            if held.version not in paths:
                held.aspired, held.cancelled = False, True
        added = [version for version in sorted(paths) if (name, version) not in self._held]
        for version in added:
            self._held[name, version] = Held(name, version, paths[version])
        return [Event(name, version, State.START) for version in added]


def next_action(held: Iterable[Held]) -> Action | None:
    """The one thing to do now over all models: unloads before loads, the highest number first among loads."""
    models: dict[str, list[Held]] = {}
    for one in held:
        models.setdefault(one.name, []).append(one)
    actions = [action for versions in models.values() if (action := _preserving(versions))]
    return min(actions, key=_urgency, default=None)


def _urgency(action: Action) -> tuple[bool, int]:
    return (action.act is Act.LOAD, -action.held.version)


def _preserving(versions: Sequence[Held]) -> Action | None:
    """The availability-preserving policy for one model: the old version goes when a wanted one is ready.

    It also goes when none is wanted, and when several unwanted ones are ready; then the lowest number goes.
    """
    aspired = [one for one in versions if one.aspired]
    unwanted = [one for one in versions if not one.aspired and one.hold is Hold.READY]
    is_served = any(one.hold is Hold.READY for one in aspired)
    if unwanted and (not aspired or is_served or len(unwanted) > 1):
        return Action(Act.UNLOAD, min(unwanted, key=lambda one: one.version))
    waiting = [one for one in aspired if one.hold is Hold.NEW]
    return Action(Act.LOAD, max(waiting, key=lambda one: one.version)) if waiting else None
