"""Why a batch is not taken, and how a client is told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from starlette.types import Send

from airbag_exporters.quality.intake.metrics import Reason
from airbag_exporters.quality.intake.upload import Upload


@dataclass(frozen=True)
class Refusal:
    """An error body and what goes with it. `problems` are all that is wrong, where more than one thing may be."""

    status: int
    reason: Reason
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)
    problems: Sequence[str] = ()

    @classmethod
    def later(cls, status: int, reason: Reason, text: str, seconds: float = 1.0) -> Refusal:
        """One that does not last: the client is told after how many seconds to try again."""
        return cls(status, reason, text, {"retry-after": str(max(1, math.ceil(seconds)))})


class Refused(Exception):
    """Ends a request."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal


@dataclass(frozen=True)
class Answer:
    """A JSON answer. Where a body is left unread it ends the connection, once it threw some more of it away."""

    status: int
    content: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, refusal: Refusal) -> Answer:
        """What a refused client is told."""
        problems = {"problems": refusal.problems} if refusal.problems else {}
        return cls(refusal.status, {"error": refusal.text, **problems}, refusal.headers)

    async def send(self, upload: Upload, send: Send) -> None:
        """Send it; `upload` is the body of the request that it answers."""
        body = msgspec.json.encode(self.content)
        unread = not upload.is_complete
        headers = {"content-type": "application/json", "content-length": str(len(body)), **self.headers}
        if unread:
            headers["connection"] = "close"
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        await send({"type": "http.response.body", "body": body, "more_body": unread})
        if unread:
            await upload.linger()
            await send({"type": "http.response.body", "body": b""})
