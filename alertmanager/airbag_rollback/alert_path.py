"""The way of an alert, tested by one that always fires: it should come here from Prometheus through Alertmanager."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from airbag.clock import Clock
from airbag_rollback.notify import Alertmanagers
from airbag_rollback.outcomes import RUNBOOKS, stamp

log = logging.getLogger("airbag.receiver.path")

BROKEN = "AirbagAlertPathBroken"
RESEND = 10.0
HELD_FOR = 60.0
"""Seconds that the alert outlives its last message: should the receiver end, it is over by itself."""


class AlertPath:
    """When the watchdog came last. Any thread may tell or ask.

    Nothing of it is kept on the disk: after a start the wait begins anew, so that a receiver that was away for long
    does not take its own absence for a broken way.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.heard()

    @property
    def last(self) -> float:
        """When it came, seconds since the epoch; before the first time, when the wait for it began."""
        return self._at[0]

    @property
    def silent_for(self) -> float:
        """Seconds since then, whatever somebody does to the machine's clock."""
        return self._clock.monotonic() - self._at[1]

    def heard(self) -> None:
        """It is here."""
        self._at = (self._clock.now(), self._clock.monotonic())


class PathWatch(threading.Thread):
    """Tells every Alertmanager when the watchdog stays away for longer than `within` seconds; 0 turns it off.

    It does not ask the journal: a full disk must not hide a broken way.
    """

    def __init__(
        self, path: AlertPath, within: Callable[[], float], alertmanagers: Alertmanagers, clock: Clock,
        every: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__(name="path-watch", daemon=True)
        self._path = path
        self._within = within
        self._alertmanagers = alertmanagers
        self._clock = clock
        self._every = every
        self._ending = threading.Event()
        self._broken_at: float | None = None
        self._told_at = 0.0

    def stop(self) -> None:
        """End after the present post. What was told runs out by itself, so that a restart resolves nothing."""
        self._ending.set()

    def run(self) -> None:
        while not self._ending.is_set():
            try:
                self.look()
            except Exception:  # one bad answer must not end the watch
                log.exception("watching the way of alerts failed")
            self._ending.wait(self._every)
        self._alertmanagers.close()

    def look(self) -> None:
        """Look once, and tell what is new or has to be told again."""
        within = self._within()
        if not within:
            self._path.heard()  # nobody waits; the wait begins when it is turned on
        if within and self._path.silent_for > within:
            self._tell(within)
        elif self._broken_at is not None:
            log.info("the watchdog comes again, or nobody waits for it any more")
            self._alertmanagers.post(self._alert(self._broken_at, self._clock.now(), within))
            self._broken_at = None

    def _tell(self, within: float) -> None:
        if self._broken_at is None:
            self._broken_at = self._clock.now()
            log.warning("the watchdog stays away: alerts may not arrive here", extra={"seconds": within})
        elif self._clock.monotonic() - self._told_at < RESEND:
            return
        self._told_at = self._clock.monotonic()
        self._alertmanagers.post(self._alert(self._broken_at, self._clock.now() + HELD_FOR, within))

    def _alert(self, since: float, ends_at: float, within: float) -> dict[str, Any]:
        """The alert with the labels of the rule of that name, so that Alertmanager takes both for one."""
        return {
            "labels": {"alertname": BROKEN, "severity": "critical"},
            "annotations": {
                "summary": "Alerts do not reach the rollback receiver.",
                "description": (
                    f"AirbagWatchdog, which always fires, has not come to the receiver since {stamp(self._path.last)}; "
                    f"allowed are {within:g} s. Alerts that ask for a rollback may be lost the same way, so a bad "
                    "release may go unanswered."
                ),
                "runbook_url": f"{RUNBOOKS}/{BROKEN}.md",
            },
            "startsAt": stamp(since),
            "endsAt": stamp(ends_at),
        }
