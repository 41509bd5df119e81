"""One part of the page, read on a thread of its own: what hangs or fails takes nothing but itself off the page."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from airbag.clock import Clock
from airbag.exposition import Samples

log = logging.getLogger("airbag.exporter.host")


@dataclass(frozen=True)
class Look:
    """What one look found. `problems` say by subject what could not be read and should have been."""

    samples: Samples
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Run:
    begun: float
    look: Look | None = None
    ended: threading.Event = field(default_factory=threading.Event)


class Part:
    """Looks when it is asked to, never twice at a time; who asks meanwhile shares the look that is under way.

    `name` is the label on the page; several parts may have the same. `what` is the subject in the log.
    """

    def __init__(self, name: str, what: str, look: Callable[[], Look], clock: Clock) -> None:
        self.name = name
        self.duration: float | None = None
        self._what = what
        self._look = look
        self._clock = clock
        self._lock = threading.Lock()
        self._run: _Run | None = None
        self._told: Mapping[str, str] = {}

    def begin(self) -> _Run:
        """Start a look, unless one is under way."""
        with self._lock:
            if self._run is None or self._run.ended.is_set():
                self._run = _Run(self._clock.monotonic())
                threading.Thread(target=self._finish, args=[self._run], name=self._what, daemon=True).start()
            return self._run

    def end(self, run: _Run, patience: float) -> Look | None:
        """What the look found, or None when it failed or takes longer than `patience` seconds."""
        if not run.ended.wait(patience):
            self._tell({self._what: "does not answer"})
            return None
        return run.look

    def _finish(self, run: _Run) -> None:
        try:
            run.look = self._look()
            self._tell(run.look.problems)
        except Exception as error:  # noqa: BLE001 - one surprising answer must not end the other parts
            self._tell({self._what: f"{type(error).__name__}: {error}"})
        finally:
            self.duration = self._clock.monotonic() - run.begun
            run.ended.set()

    def _tell(self, problems: Mapping[str, str]) -> None:
        """Say what is new, not what is known."""
        with self._lock:
            before, self._told = self._told, dict(problems)
        for subject, reason in problems.items():
            if before.get(subject) != reason:
                log.warning("cannot be read", extra={"part": self.name, "what": subject, "reason": reason})
        for subject in before.keys() - problems.keys():
            log.info("can be read again", extra={"part": self.name, "what": subject})
