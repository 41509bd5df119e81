"""The HTTP/1.1 connections under the REST front end."""

from __future__ import annotations

import threading
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from airbag.errors import StartError
from airbag_demo.model_server.rest_api import Reply, RestApi


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], api: RestApi, workers: threading.Semaphore) -> None:
        super().__init__(address, _Handler)
        self.api = api
        self.workers = workers


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def answer(self) -> None:
        try:
            body = self._body()
        except ValueError:
            self._send(Reply(400, "text/html", b"", (("Connection", "close"),)))
            return
        target = self.path.encode("latin-1").decode("utf-8", "surrogateescape")
        with self.server.workers:
            reply = self.server.api.answer(self.command, target, self.headers.get("Origin", ""), body)
        self._send(reply)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = answer  # noqa: N815 - the base class's names

    def _body(self) -> bytes:
        """ValueError if its length cannot be understood."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _send(self, reply: Reply) -> None:
        """Only the headers that the real server sends, and everything in one write."""
        lines = [f"HTTP/1.1 {reply.status} {responses.get(reply.status, 'Client Closed Request')}"]
        lines += [f"Content-Type: {reply.content_type}", f"Date: {self.date_time_string()}"]
        lines += [f"{name}: {value}" for name, value in reply.headers]
        lines += [f"Content-Length: {len(reply.body)}", "", ""]
        self.wfile.write("\r\n".join(lines).encode("latin-1") + (b"" if self.command == "HEAD" else reply.body))
        self.close_connection = self.close_connection or ("Connection", "close") in reply.headers

    def log_message(self, format: str, *args: object) -> None:
        """The real server logs no requests."""


def serve(api: RestApi, address: str, port: int, threads: int) -> ThreadingHTTPServer:
    """Open the port and answer in threads of their own, `threads - 1` requests at a time: one thread only accepts.

    StartError if the port cannot be had.
    """
    try:
        server = _Server((address, port), api, threading.Semaphore(max(threads - 1, 0)))
    except OSError as error:
        raise StartError(f"cannot listen for HTTP on {address}:{port}: {error.strerror}") from error
    threading.Thread(target=server.serve_forever, name="rest", daemon=True).start()
    return server
