"""What a client may take: uvicorn waits for the head of a request for ever, and keeps as much of it as comes."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

IDLE_SECONDS = 75  # between requests; longer than common scrape intervals, so that connections are used again
CONNECTIONS = 512  # open at once; below the usual limit of 1024 descriptors

CLIENT_NAME = "airbag.client_common_name"
"""The key in an ASGI scope's `extensions` under which the common name of a verified client certificate stands."""

log = logging.getLogger("airbag.http")


def calm(app: ASGIApp) -> ASGIApp:
    """The application, for which a client that went away is no error worth a traceback."""

    async def without_tracebacks(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except ClientDisconnect:
            log.debug("the client went away", extra={"path": scope["path"]})

    return without_tracebacks


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which ends a connection whose request arrives too slowly or with too large a head."""

    head_seconds = 10.0  # from the connection or the first byte to the end of the headers
    body_seconds = 60.0  # from there to the end of the body
    head_bytes = 64 * 1024
    waiting_bytes = 1 << 20  # of a body that the application has not asked for yet

    _deadline: asyncio.TimerHandle | None = None
    _unused_bytes = 0  # of a head or a trailer that does not end
    _client_name: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in the base class
        super().connection_made(transport)
        self._client_name = _common_name(transport.get_extra_info("ssl_object"))
        self._expect_within(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            self._expect_within(self.head_seconds)
        self._unused_bytes += len(data)
        super().data_received(data)
        if self._unused_bytes > self.head_bytes and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_headers_complete(self) -> None:
        lines = sum(len(name) + len(value) + 4 for name, value in self.headers)  # 4 for ": " and the line's end
        if lines + len(self.url) > self.head_bytes:
            raise ValueError("the head of the request is too large")  # stops the parser; uvicorn answers 400
        self._unused_bytes = 0
        self._expect_within(self.body_seconds)
        if self._client_name is not None:
            self.scope["extensions"] = {CLIENT_NAME: {"name": self._client_name}}
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """As in the base class, which would pause after every single read of a large body."""
        self._unused_bytes = 0
        if self.cycle.response_complete:
            return
        self.cycle.body += body
        if len(self.cycle.body) > self.waiting_bytes:
            self.flow.pause_reading()
        self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        self._unused_bytes = 0
        self._relax()
        super().on_message_complete()

    def _expect_within(self, seconds: float) -> None:
        self._relax()
        self._deadline = self.loop.call_later(seconds, self._end)

    def _relax(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def _common_name(connection: ssl.SSLObject | None) -> str | None:
    """The common name in the client's certificate; None without one that was verified, and for several names."""
    found: Mapping[str, Any] = (connection.getpeercert() or {}) if connection else {}  # Any: ssl's nested tuples
    names: list[str] = [value for part in found.get("subject", ()) for key, value in part if key == "commonName"]
    return names[0] if len(names) == 1 else None
