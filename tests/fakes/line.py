"""An HTTP hop that a test may break in every way in which a request or its answer gets lost."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler

import requests

from tests.fakes.http_server import serving_http


class Trouble(Enum):
    """What becomes of a POST."""

    NONE = "passed on"
    REFUSED = "answered 503 and lost"
    CUT = "lost, and the connection closed without an answer"
    HUNG = "lost, and no answer until the client gives up"
    SWALLOWED = "answered 200 and lost"
    ANSWER_LOST = "passed on, and the connection closed without an answer"


@dataclass
class Line:
    """One hop. `broken` and `arrived`: the POSTs that met trouble and that were passed on, with when (monotonic s)."""

    target: str | None
    """Where POSTs are passed on to; None: this is where they end."""
    address: str = ""
    trouble: Trouble = Trouble.NONE
    broken: list[tuple[float, bytes]] = field(default_factory=list)
    arrived: list[tuple[float, bytes]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def pass_on(self, path: str, body: bytes) -> int:
        """The answer's code."""
        if self.target is None:
            code = 200
        else:
            headers = {"Content-Type": "application/json"}
            code = requests.post(f"http://{self.target}{path}", data=body, headers=headers, timeout=5).status_code
        self.arrived.append((time.monotonic(), body))
        return code


def _wait_for_end(client: socket.socket, line: Line) -> None:
    client.settimeout(0.1)
    while not line.ended.is_set():
        try:
            if not client.recv(1):
                return
        except TimeoutError:
            continue
        except OSError:
            return


@contextmanager
def line(target: str | None = None, trouble: Trouble = Trouble.NONE) -> Iterator[Line]:
    """Run one on a free port until the block ends."""
    here = Line(target, trouble=trouble)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            trouble = here.trouble  # as it was when the request came
            body = self.rfile.read(int(self.headers["Content-Length"]))
            code = 200
            if trouble in {Trouble.NONE, Trouble.ANSWER_LOST}:
                code = here.pass_on(self.path, body)
            if trouble is not Trouble.NONE:
                here.broken.append((time.monotonic(), body))
            if trouble is Trouble.HUNG:
                _wait_for_end(self.connection, here)
            if trouble in {Trouble.NONE, Trouble.REFUSED, Trouble.SWALLOWED}:
                self.send_response(503 if trouble is Trouble.REFUSED else code)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with serving_http(Handler) as port:
        here.address = f"127.0.0.1:{port}"
        try:
            yield here
        finally:
            here.ended.set()
