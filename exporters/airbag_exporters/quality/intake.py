"""POST /v1/predictions and POST /v1/labels."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airbag_exporters.quality.book import Book
from airbag_exporters.quality.events import JSON, NDJSON, BadBatch, Decoder, Event, Label, Prediction

BODY_MAX = 8 << 20


class TooLarge(Exception):
    """A body over BODY_MAX bytes."""


class Intake:
    """The two routes. `token`, when set, is wanted as a bearer token; a reload replaces it."""

    PATHS = frozenset({"/v1/predictions", "/v1/labels"})

    def __init__(self, book: Book, token: str | None) -> None:
        self.token = token
        self._book = book

    def routes(self) -> list[Route]:
        """The routes, for any Starlette application."""
        return [
            self._route("/v1/predictions", Decoder(Prediction), self._book.predict),
            self._route("/v1/labels", Decoder(Label), self._book.label),
        ]

    def _route(self, path: str, decoder: Decoder[Event], take: Callable[[list[Event]], None]) -> Route:
        async def endpoint(request: Request) -> Response:
            if not self._may_post(request):
                return _refusal(401, "a bearer token is needed", {"www-authenticate": "Bearer"})
            content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if content_type not in (NDJSON, JSON):
                return _refusal(415, f"content-type must be {NDJSON} or {JSON}, not {content_type or 'none'}")
            try:
                batch = decoder.decode(await _body(request), content_type)
                take(batch)
            except TooLarge:
                return _refusal(413, f"a body may have {BODY_MAX} bytes; send smaller batches")
            except BadBatch as error:
                return _refusal(400, f"nothing was taken: {error}")
            return JSONResponse({"accepted": len(batch)}, status_code=202)

        return Route(path, endpoint, methods=["POST"])

    def _may_post(self, request: Request) -> bool:
        if self.token is None:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self.token.encode())


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_MAX:
            raise TooLarge
        parts.append(part)
    return b"".join(parts)


def _refusal(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": text}, status_code=status, headers=headers)
