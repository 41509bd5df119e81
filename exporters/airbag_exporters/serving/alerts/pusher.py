"""Sends alerts to Alertmanagers as long as they hold, and then says that they are over. One thread per Alertmanager."""

from __future__ import annotations

import http.client
import json
import logging
import ssl
import threading
from collections import Counter as Count
from collections.abc import Callable, Hashable, Mapping, Sequence
from urllib.parse import SplitResult, urlsplit

from airbag.clock import Clock
from airbag.http_config import HttpConfig, TlsConfig, authorization
from airbag.tls_words import tls_trouble
from airbag_exporters.serving.alerts.alert import Alert, Subject, message

log = logging.getLogger("airbag.exporter.alerts")

SENT = ("delivered", "failed")
RESEND = 5.0
HELD_FOR = 30.0
"""Seconds that an alert outlives its last message: should the exporter die, it is over by itself."""
_TIMEOUT = 2.0
_PAUSES = (0.1, 0.3, 1.0)
"""Seconds before each further attempt; after the last one the next message is that of RESEND."""


class Pusher:
    """What holds, told by several sources; every Alertmanager hears it independently of the others.

    `hold` may be called from any thread and never waits. `changed` is called after each message, from another thread.
    """

    def __init__(
        self,
        urls: Sequence[str],
        labels: Mapping[str, str],
        clock: Clock,
        sent: Count[str],
        changed: Callable[[], None],
        http: HttpConfig | None = None,
    ) -> None:
        self.http = http
        self.labels = labels
        self.clock = clock
        self._sent = sent
        self._changed = changed
        self._lock = threading.Lock()
        self._held: dict[Hashable, Mapping[Subject, Alert]] = {}
        self._lines = [_Line(url, self) for url in urls]

    def start(self) -> None:
        """Begin to send."""
        for line in self._lines:
            line.start()

    def stop(self) -> None:
        """Send no more. What is held runs out by itself, so that a restart resolves nothing."""
        for line in self._lines:
            line.stop()

    def join(self) -> None:
        """After `stop`: wait until every thread has ended, which takes as long as a message may."""
        for line in self._lines:
            if line.ident:
                line.join(_TIMEOUT)

    def hold(self, source: Hashable, alerts: Sequence[Alert]) -> None:
        """From now on exactly these hold as far as `source` knows."""
        new = {alert.subject: alert for alert in alerts}
        with self._lock:
            if self._held.get(source, {}).keys() == new.keys():
                self._held[source] = new
                return
            self._held[source] = new
        for line in self._lines:
            line.wake()

    def held(self) -> dict[Subject, Alert]:
        """What holds according to any source; the longest standing of each subject."""
        with self._lock:
            every = [alert for alerts in self._held.values() for alert in alerts.values()]
        return {alert.subject: alert for alert in sorted(every, key=lambda alert: -alert.since)}

    def count(self, outcome: str) -> None:
        """One more message went that way."""
        with self._lock:
            self._sent[outcome] += 1
        self._changed()


class _Line(threading.Thread):
    """One Alertmanager."""

    def __init__(self, url: str, pusher: Pusher) -> None:
        super().__init__(name=f"alerts to {url}", daemon=True)
        self._url = url
        self._pusher = pusher
        self._woken = threading.Event()
        self._ending = threading.Event()
        self._told: dict[Subject, Alert] = {}
        self._is_failing = False

    def wake(self) -> None:
        self._woken.set()

    def stop(self) -> None:
        self._ending.set()
        self._woken.set()

    def run(self) -> None:
        while not self._ending.is_set():
            self._woken.wait(RESEND if self._told else None)
            self._woken.clear()
            if not self._ending.is_set():
                self._tell()

    def _tell(self) -> None:
        """Send what holds and what is over, again until it is taken, a bounded number of times."""
        for pause in (0.0, *_PAUSES):
            if self._ending.wait(pause):
                return
            now, held = self._pusher.clock.now(), self._pusher.held()
            over = {subject: alert for subject, alert in self._told.items() if subject not in held}
            if not held and not over:
                return
            messages = [message(alert, self._pusher.labels, now + HELD_FOR) for alert in held.values()]
            messages += [message(alert, self._pusher.labels, now) for alert in over.values()]
            if self._post(messages):
                self._told = held
                return
        self._told = {**self._told, **self._pusher.held()}  # it may have been heard all the same

    def _post(self, messages: list[dict[str, object]]) -> bool:
        try:
            status = post(f"{self._url.rstrip('/')}/api/v2/alerts", json.dumps(messages).encode(), self._pusher.http)
            problem = "" if status == http.client.OK else f"HTTP {status}"
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a file of http_config
            problem = self._trouble(error) or str(error) or type(error).__name__
        self._pusher.count("failed" if problem else "delivered")
        if problem and not self._is_failing:
            log.warning("Alertmanager took no alert; trying on", extra={"url": self._url, "reason": problem})
        elif self._is_failing and not problem:
            log.info("Alertmanager takes alerts again", extra={"url": self._url})
        self._is_failing = bool(problem)
        return not problem

    def _trouble(self, error: Exception) -> str:
        config = self._pusher.http
        shown = bool(config and config.tls_config and config.tls_config.cert_file)
        return tls_trouble(error, shown=shown if self._url.startswith("https:") else None)


def post(url: str, body: bytes, config: HttpConfig | None = None) -> int:
    """POST JSON; the status. OSError or HTTPException when no answer came, ValueError when a file of `config` is wrong.

    Redirects are not followed. Certificates and secrets are read each time: messages are few.
    """
    config = config or HttpConfig()
    headers = {"Content-Type": "application/json", "User-Agent": "airbag", **authorization(config)}
    connection = _connection(urlsplit(url), config.tls_config)
    try:
        connection.request("POST", urlsplit(url).path, body, headers)
        with connection.getresponse() as answer:
            return answer.status
    finally:
        connection.close()


def _connection(parts: SplitResult, tls: TlsConfig | None) -> http.client.HTTPConnection:
    if parts.scheme != "https":
        return http.client.HTTPConnection(parts.netloc, timeout=_TIMEOUT)
    if tls is None:
        return http.client.HTTPSConnection(parts.netloc, timeout=_TIMEOUT)
    if tls.server_name is None:
        return http.client.HTTPSConnection(parts.netloc, timeout=_TIMEOUT, context=tls.context())
    return _Named(parts.netloc, tls.context(), tls.server_name)


class _Named(http.client.HTTPSConnection):
    """Wants that name in the server's certificate, whatever the host of the address is."""

    def __init__(self, netloc: str, context: ssl.SSLContext, name: str) -> None:
        super().__init__(netloc, timeout=_TIMEOUT, context=context)
        self._tls, self._name = context, name

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)
