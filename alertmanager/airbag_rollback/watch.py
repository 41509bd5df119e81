"""Takes down, once a second, what every model serves."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable

from airbag.clock import Clock
from airbag.errors import AirbagError
from airbag.serving.groups import Servings
from airbag_rollback.journal import Fenced, Journal
from airbag_rollback.look import Lookout

log = logging.getLogger("airbag.receiver.watch")


class Watcher(threading.Thread):
    """Feeds the ledger from the servers. A model is left alone while one of its servers does not answer."""

    def __init__(
        self, servings: Callable[[], Servings], lookout: Lookout, journal: Journal, clock: Clock, every: float = 1.0
    ) -> None:
        super().__init__(name="watcher", daemon=True)
        self._servings = servings
        self._lookout = lookout
        self._journal = journal
        self._clock = clock
        self._every = every
        self._ending = threading.Event()
        self._said: dict[tuple[str, str], str] = {}

    def stop(self) -> None:
        """End after the present look."""
        self._ending.set()

    def run(self) -> None:
        while not self._ending.is_set():
            if self._journal.lease.fence:
                self._look_while_leading()
            self._ending.wait(self._every)

    def _look_while_leading(self) -> None:
        with contextlib.suppress(Fenced), self._journal.lease.leading():
            self.look_around()

    def look_around(self) -> None:
        """One look at every model."""
        for group in self._servings().servings:
            for entry in group.models:
                if self._ending.is_set():
                    return
                try:
                    self._one(group.name, entry.name)
                except AirbagError as error:
                    self._say((group.name, entry.name), f"cannot be taken down: {error}")
                except Exception:  # one bad answer must not end the watch
                    log.exception("watching failed", extra={"serving": group.name, "model_name": entry.name})

    def _one(self, serving: str, model: str) -> None:
        group = self._servings().group(serving)
        if group is None:
            return
        view = self._lookout.look(group, model)
        if view.unreachable:
            self._say((serving, model), f"cannot be seen: {view.unreachable}")
            return
        now = self._clock.now()
        epoch = self._journal.ledger.observe(serving, model, view.serves, view.wanted, now)
        serves = ", ".join(map(str, sorted(view.serves))) or "nothing"
        self._say((serving, model), f"{serves} serves in epoch {epoch}")

    def _say(self, about: tuple[str, str], sentence: str) -> None:
        if self._said.get(about) != sentence:
            self._said[about] = sentence
            log.info(sentence, extra={"serving": about[0], "model_name": about[1]})
