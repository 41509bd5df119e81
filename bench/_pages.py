"""Pages on a port that was chosen before, as the process shows them whose place we take."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Pages:
    """Serves from its making to `close`. `body` is asked for the page of a path at every request; None is not found."""

    def __init__(self, port: int, body: Callable[[str], bytes | None]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = body(self.path)
                with contextlib.suppress(ConnectionError):  # whoever asked has given up
                    self.send_response(404 if page is None else 200)
                    self.send_header("Content-Type", "text/plain; version=0.0.4")
                    self.send_header("Content-Length", str(len(page or b"")))
                    self.end_headers()
                    self.wfile.write(page or b"")

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
