"""A server where the intake should be, which answers what it is told to, once each, and then 202 for ever."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HANG = "hang"  # no answer, until the test ends
DIE = "die"  # takes the batch and closes the connection without an answer
CLOSE = "close"  # answers 202 as if the connection would stay, and closes it


@dataclass
class Scripted:
    """`script` holds statuses, or (status, headers), or one of the words above."""

    script: deque[Any] = field(default_factory=deque)
    requests: list[tuple[str, dict[str, str], list[dict[str, Any]]]] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def rows(self, path: str = "/v1/predictions") -> list[dict[str, Any]]:
        """Every row that came, also those that came more than once."""
        return [row for each, _, rows in self.requests for row in rows if each == path]


@contextmanager
def scripted(*script: Any, port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """Serve until the end of the block."""
    state = Scripted(deque(script))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            if tls:
                self.request = tls.wrap_socket(self.request, server_side=True)
            super().setup()
            state.connections += 1

        def finish(self) -> None:
            super().finish()
            self.request.close()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers["content-encoding"] == "gzip":
                body = gzip.decompress(body)
            rows = [json.loads(line) for line in body.splitlines()]
            state.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, rows))
            say = state.script.popleft() if state.script else 202
            if callable(say):
                say = say(rows)
            if say == HANG:
                state.ended.wait()
            if say in (HANG, DIE):
                self.close_connection = True
                return
            status, headers = say if isinstance(say, tuple) else (202 if say == CLOSE else say, {})
            self.send_response(status)
            for name, value in {"content-length": "2", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"{}")
            if say == CLOSE:
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that goes away, or that does not trust us, is no news."""

    server = Server(("127.0.0.1", port), Handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield state
    finally:
        state.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
