"""A server that takes whatever is posted to it and keeps it: stands for the receiver, for people, for Slack."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Posted:
    """One request."""

    path: str
    authorization: str | None
    body: Any


@dataclass
class Webhooks:
    """The server's address and everything posted so far."""

    address: str
    posted: list[Posted] = field(default_factory=list)

    def alerts(self, path: str, alertname: str) -> list[Posted]:
        """The Alertmanager messages at that path that contain that alert."""
        return [
            each
            for each in list(self.posted)
            if each.path == path and any(a["labels"]["alertname"] == alertname for a in each.body["alerts"])
        ]


@contextmanager
def webhooks() -> Iterator[Webhooks]:
    """Run the server on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            here.posted.append(Posted(self.path, self.headers["Authorization"], body))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        here = Webhooks(f"127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield here
        finally:
            server.shutdown()
            thread.join()
