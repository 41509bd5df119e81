"""What is known of every version: the five states, and who watches them change."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

from airbag_demo.model_server.status import OK, Status


class State(enum.IntEnum):
    """The numbers are those of `ModelVersionStatus.State`."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class Event:
    """One version reached a state."""

    name: str
    version: int
    state: State
    status: Status = OK


class StateMonitor:
    """The latest event of each version it has heard of since it was made. Nothing is ever forgotten.

    Safe for use from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: dict[str, dict[int, Event]] = {}

    def hear(self, event: Event) -> None:
        with self._lock:
            self._latest.setdefault(event.name, {})[event.version] = event

    def versions(self, name: str) -> list[Event]:
        """Every version of the model, the highest number first; empty for a name never heard of."""
        with self._lock:
            known = self._latest.get(name, {})
            return [known[version] for version in sorted(known, reverse=True)]

    def version(self, name: str, version: int) -> Event | None:
        with self._lock:
            return self._latest.get(name, {}).get(version)


class Decision:
    """Waits until each of the models has a version AVAILABLE or at END, and keeps how they stood at that event.

    What happens next, even before the waiting thread runs again, changes nothing.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = sorted(names)
        self._heard = StateMonitor()
        self._made = threading.Event()
        self._outcome: list[Event] = []
        self._look()

    def hear(self, event: Event) -> None:
        if not self._made.is_set():
            self._heard.hear(event)
            self._look()

    def wait(self) -> list[Event]:
        """Wait, without limit, and return the deciding event of each model; of several versions, the highest's."""
        self._made.wait()
        return self._outcome

    def _look(self) -> None:
        decided = [event for name in self._names if (event := self._deciding(name))]
        if len(decided) == len(self._names):
            self._outcome = decided
            self._made.set()

    def _deciding(self, name: str) -> Event | None:
        return next((e for e in self._heard.versions(name) if e.state in (State.AVAILABLE, State.END)), None)


class EventBus:
    """Tells every subscriber of every event, in the order of publishing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[Callable[[Event], None]] = []

    def publish(self, event: Event) -> None:
        with self._lock:
            for listener in self._listeners:
                listener(event)

    def subscribe(self, listener: StateMonitor | Decision) -> None:
        """From now on it hears every event; what happened before stays unknown to it."""
        with self._lock:
            self._listeners.append(listener.hear)

    def unsubscribe(self, listener: StateMonitor | Decision) -> None:
        with self._lock:
            self._listeners.remove(listener.hear)
