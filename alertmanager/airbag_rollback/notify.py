"""Tells people through Alertmanager and nobody else; above all, how an action ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

import requests

from airbag.clock import Clock
from airbag.errors import AirbagError
from airbag.http_config import HttpConfig
from airbag.http_session import new_session, why
from airbag.log import Complaints
from airbag_rollback import failpoints
from airbag_rollback.journal import Journal
from airbag_rollback.metrics import Metrics
from airbag_rollback.outcomes import still_shown

log = logging.getLogger("airbag.receiver.notify")


class Alertmanagers:
    """Every Alertmanager, for one thread."""

    def __init__(
        self, urls: Callable[[], tuple[str, ...]], metrics: Metrics,
        http: Callable[[], HttpConfig | None] = lambda: None,
    ) -> None:  # fmt: skip
        self._urls = urls
        self._metrics = metrics
        self._config = http
        self._shown: HttpConfig | None = None
        self._http = new_session()
        self._failing: set[str] = set()

    def post(self, alert: Mapping[str, object]) -> bool:
        """Post the alert to each of them, once; whether at least one took it."""
        if self._shown != self._config():  # another configuration is in force
            self._http.close()
            self._shown = self._config()
            self._http = new_session(self._shown)
        taken = [self._post(url, alert) for url in self._urls()]
        return any(taken)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _post(self, url: str, alert: Mapping[str, object]) -> bool:
        failpoints.reached("before a post to Alertmanager")
        try:
            answer = self._http.post(
                f"{url.rstrip('/')}/api/v2/alerts", json=[alert], timeout=3.0, allow_redirects=False
            )
            problem = "" if answer.status_code == requests.codes.ok else f"HTTP {answer.status_code}"
        except requests.RequestException as error:
            problem = why(error, self._http)
        failpoints.reached("after a post to Alertmanager")
        self._metrics.notifications.labels("failed" if problem else "delivered").inc()
        if problem and url not in self._failing:
            log.warning("Alertmanager took no alert; trying on", extra={"url": url, "reason": problem})
        self._failing = self._failing | {url} if problem else self._failing - {url}
        return not problem


class Notifier(threading.Thread):
    """Posts what lies in the outbox until at least one Alertmanager took it. Never in the worker's way."""

    def __init__(
        self, alertmanagers: Alertmanagers, journal: Journal, metrics: Metrics, clock: Clock, every: float = 0.5
    ) -> None:
        super().__init__(name="notifier", daemon=True)
        self._alertmanagers = alertmanagers
        self._journal = journal
        self._complaints = Complaints(log)
        self._metrics = metrics
        self._clock = clock
        self._every = every
        self._ending = threading.Event()

    def stop(self) -> None:
        """End after the present post."""
        self._ending.set()

    def run(self) -> None:
        while not self._ending.is_set():
            try:
                failed = bool(self._journal.lease.fence) and self.empty()
            except AirbagError as error:
                self._complaints.warn("the outbox cannot be worked", error)
                failed = True
            except Exception:
                log.exception("telling people failed")
                failed = True
            self._ending.wait(self._every * (4 if failed else 1))
        self._alertmanagers.close()

    def empty(self) -> bool:
        """Post every waiting message once; whether one was left behind. Fenced when another one leads."""
        with self._journal.lease.leading():
            return self._empty()

    def _empty(self) -> bool:
        waiting = self._journal.outbox.pending()
        self._metrics.waiting.set(len(waiting))
        for message in waiting:
            alert = still_shown(message.alert, self._clock.now())
            if not self._alertmanagers.post(alert):
                return True
            self._journal.outbox.delivered(message, self._clock.now())
        self._metrics.waiting.set(0)
        return False
