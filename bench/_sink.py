"""Takes Alertmanager's messages for the machine and for people, with the time at which each came."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.fakes.http_server import serving_http


@dataclass(frozen=True)
class Told:
    """One firing alert of one message. `machine` says which of the two channels it came through."""

    at: float
    machine: bool
    labels: Mapping[str, str]
    body: Any  # JSON

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels["alertname"]


class Sink:
    """All alerts that were told so far, in order."""

    def __init__(self) -> None:
        self.port = 0
        self._told: list[Told] = []
        self._lock = threading.Lock()

    def take(self, path: str, at: float, message: Any) -> None:
        """One message of Alertmanager."""
        firing = [alert for alert in message["alerts"] if alert["status"] == "firing"]
        with self._lock:
            self._told += [Told(at, path == "/v1/alerts", alert["labels"], alert) for alert in firing]

    def told(self) -> list[Told]:
        """A copy."""
        with self._lock:
            return list(self._told)


@contextmanager
def sink() -> Iterator[Sink]:
    """Listens on a free port until the block ends."""
    here = Sink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            at = time.time()
            here.take(self.path, at, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving_http(Handler) as port:
        here.port = port
        yield here
