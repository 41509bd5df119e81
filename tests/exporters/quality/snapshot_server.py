"""A replica as the aggregator sees it: it shows the snapshot that a test gives it, and can refuse, lie and hang."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from airbag_exporters.quality.render import Snapshot, encode_snapshot
from tests.fakes.http_server import serving_http


@dataclass(eq=False)
class FakeReplica:
    """`body` replaces the snapshot. While `open` is cleared, it sends half of an answer and waits.

    `halfway` is called when half of an answer is sent.
    """

    snapshot: Snapshot = field(default_factory=Snapshot)
    status: int = 200
    body: bytes | None = None
    token: str | None = None
    open: threading.Event = field(default_factory=threading.Event)
    halfway: Callable[[], None] = lambda: None
    url: str = ""


def _handler(fake: FakeReplica) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            allowed = fake.token is None or self.headers["Authorization"] == f"Bearer {fake.token}"
            known = self.path == "/v1/snapshot"
            body = fake.body if fake.body is not None else encode_snapshot(fake.snapshot)
            self.send_response(fake.status if allowed and known else 401 if known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                fake.halfway()
                fake.open.wait(60)
                self.wfile.write(body[len(body) // 2 :])
            except OSError:
                self.close_connection = True  # the aggregator is gone

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@contextmanager
def fake_replica(snapshot: Snapshot | None = None) -> Iterator[FakeReplica]:
    """One on a free port."""
    fake = FakeReplica(snapshot or Snapshot())
    fake.open.set()
    with serving_http(_handler(fake)) as port:
        fake.url = f"http://127.0.0.1:{port}"
        try:
            yield fake
        finally:
            fake.open.set()
