"""What every route under /v1 does before it looks at what is asked: who asks, whether they may, and how large it is."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from airbag_rollback.access import Access, TooOften
from airbag_rollback.api.rules import DOCUMENTS, ROLES
from airbag_rollback.keys import Caller
from airbag_rollback.policy import Role

log = logging.getLogger("airbag.receiver.http")

ORDER_LIMIT = 16 * 1024
"""Bytes that an order may have."""

_CHALLENGES = ('Bearer realm="airbag"', 'Basic realm="airbag", charset="UTF-8"')


class NotLetIn(Exception):
    """The request goes no further. `result` is a short word for metrics, `detail` a sentence for who asks."""

    def __init__(self, status: int, result: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.result = result
        self.detail = detail

    def answer(self) -> Response:
        """The refusal over HTTP."""
        answer = JSONResponse({"detail": self.detail, "problems": []}, self.status)
        if self.status == 401:
            for challenge in _CHALLENGES:
                answer.headers.append("WWW-Authenticate", challenge)
        if self.status == 429:
            answer.headers["Retry-After"] = "3"
        return answer


async def let_in(access: Access, request: Request, role: Role) -> Caller:
    """Who asks, if they may do what asks for `role`. Raises NotLetIn."""
    try:
        caller = await access.caller(request)
    except TooOften as error:
        raise NotLetIn(429, "unauthorized", str(error)) from error
    if caller is None:
        text = "a bearer token, a name with its password or a client certificate is missing or wrong"
        raise NotLetIn(401, "unauthorized", text)
    if access.lacks(caller, role, request):
        raise NotLetIn(403, "forbidden", f"{caller.name} has the role {caller.role}; this takes the role {role}")
    if request.method not in ("GET", "HEAD") and access.comes_from_elsewhere(request):
        raise NotLetIn(403, "forbidden", "orders are not taken from pages of other sites")
    return caller


async def body_within(request: Request, limit: int, expected: str = "application/json") -> bytes:
    """The body, of that type. Raises NotLetIn as soon as it is over the limit, whatever its length was said to be."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != expected:
        raise NotLetIn(415, "malformed", f"the Content-Type should be {expected}")
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise NotLetIn(413, "too_large", f"more than {limit} bytes")
        parts.append(part)
    return b"".join(parts)


def _json(body: bytes) -> bytes:
    """The same, if it can be read. Raises NotLetIn."""
    try:
        if body:
            json.loads(body)
    except (ValueError, RecursionError):
        raise NotLetIn(422, "malformed", "the body is not JSON") from None
    return body


def guarded(access: Access) -> type[APIRoute]:
    """A route that lets in who may, by the table of rules, and notes who it is in `request.state.caller`."""

    class Guarded(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:  # Any: FastAPI's own
            handle = super().get_route_handler()
            route = (min(self.methods or {""}), self.path)  # each route has one method
            role, document = ROLES[route], DOCUMENTS.get(route)

            async def behind_the_door(request: Request) -> Response:
                try:
                    request.state.caller = await let_in(access, request, role)
                    if document is None:
                        request._body = _json(await body_within(request, ORDER_LIMIT))
                    else:
                        request._body = await body_within(request, document.limit, document.media_type)
                except NotLetIn as refusal:
                    return refusal.answer()
                return await handle(request)

            return behind_the_door

    return Guarded


def caller_of(request: Request) -> Caller:
    """Who asks, behind the door."""
    caller: Caller = request.state.caller
    return caller
