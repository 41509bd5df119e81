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
        self._changed = threading.Condition()
        self._latest: dict[str, dict[int, Event]] = {}

    def hear(self, event: Event) -> None:
        with self._changed:
            self._latest.setdefault(event.name, {})[event.version] = event
            self._changed.notify_all()

    def versions(self, name: str) -> list[Event]:
        """Every version of the model, the highest number first; empty for a name never heard of."""
        with self._changed:
            return self._of(name)

    def version(self, name: str, version: int) -> Event | None:
        with self._changed:
            return self._latest.get(name, {}).get(version)

    def wait_decided(self, names: Collection[str]) -> list[Event]:
        """Wait, without limit, until each model has a version AVAILABLE or at END; return that event for each.

        Of several such versions the highest number counts.
        """
        with self._changed:
            self._changed.wait_for(lambda: all(self._decided(name) for name in names))
            return [event for name in sorted(names) if (event := self._decided(name))]

    def _of(self, name: str) -> list[Event]:
        known = self._latest.get(name, {})
        return [known[version] for version in sorted(known, reverse=True)]

    def _decided(self, name: str) -> Event | None:
        return next((e for e in self._of(name) if e.state in (State.AVAILABLE, State.END)), None)


class EventBus:
    """Tells every subscribed monitor of every event, in the order of publishing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[Callable[[Event], None]] = []

    def publish(self, event: Event) -> None:
        with self._lock:
            for listener in self._listeners:
                listener(event)

    def subscribe(self, monitor: StateMonitor) -> None:
        """From now on the monitor hears every event; what happened before stays unknown to it."""
        with self._lock:
            self._listeners.append(monitor.hear)

    def unsubscribe(self, monitor: StateMonitor) -> None:
        with self._lock:
            self._listeners.remove(monitor.hear)
