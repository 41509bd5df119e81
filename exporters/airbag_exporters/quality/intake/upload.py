"""The body of one request."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from airbag_exporters.quality.intake.admission import Hold

LINGER_SECONDS = 2.0
"""How long a body that nobody wants is still received, and thrown away.

Closing at once would reset the connection, and many clients then report that instead of reading the answer.
"""


class TooLarge(Exception):
    """More bytes than a body may have."""


class Upload:
    """Reads a body once. `length` is what the client declared, or None."""

    def __init__(self, headers: Headers, receive: Receive) -> None:
        self._receive = receive
        self.length = int(headers["content-length"]) if "content-length" in headers else None
        self.comes = "transfer-encoding" in headers or self.length is not None
        self._asked_first = "expect" in headers
        self._complete = not self.comes or self.length == 0

    @property
    def is_complete(self) -> bool:
        """Whether nothing of it is left to receive."""
        return self._complete

    async def read(self, hold: Hold, largest: int, bound: int) -> bytes:
        """The whole body, for which `hold` is asked before the memory is taken.

        Raises TooLarge over `largest` bytes, Full where all bodies together come to more than `bound`, and
        ClientDisconnect.
        """
        if (self.length or 0) > largest:
            raise TooLarge
        hold.grow(self.length or 0, bound)
        parts: list[bytes] = []
        size = 0
        async for part in self._parts():
            size += len(part)
            if size > largest:
                raise TooLarge
            if size > hold.size:
                hold.grow(size, bound)
            parts.append(part)
        return b"".join(parts)  # one copy; a buffer that grows would be copied many times

    async def linger(self) -> None:
        """Receive the rest and throw it away, for some time. Clients that asked before sending send nothing now."""
        if self._asked_first:
            return
        with anyio.move_on_after(LINGER_SECONDS):
            try:
                async for _ in self._parts():
                    pass
            except ClientDisconnect:
                return

    async def _parts(self) -> AsyncIterator[bytes]:
        while not self._complete:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._complete = True
                raise ClientDisconnect
            self._complete = not message.get("more_body", False)
            yield message.get("body", b"")
