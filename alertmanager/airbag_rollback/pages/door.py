"""Who looks at a page: by a session, or by what comes with the request itself."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from airbag_rollback.access import Access
from airbag_rollback.keys import Caller, Keys
from airbag_rollback.pages.sessions import ABSOLUTE, FormTokens, Sessions

FORM_LIMIT = 16_384
"""Bytes of a form."""


@dataclass(frozen=True)
class Visitor:
    """Somebody whom the access rules know. `binding` is what the tokens in their forms are bound to."""

    caller: Caller
    binding: str
    session: str | None = None

    @property
    def name(self) -> str:
        """As the audit will have it."""
        return self.caller.name


class Door:
    """Lets people in. Cookies are out of reach for scripts and never sent along from other sites."""

    def __init__(self, access: Access, keys: Callable[[], Keys], sessions: Sessions, tokens: FormTokens) -> None:
        self._access = access
        self._keys = keys
        self._sessions = sessions
        self._tokens = tokens

    async def visitor(self, request: Request, *, active: bool = True) -> Visitor | None:
        """Who asks, or None. A password, token or certificate that comes with the request needs no login.

        Raises TooOften. What stands in the Authorization header counts before a session.
        """
        if "authorization" not in request.headers:
            identifier = request.cookies.get(_cookie(request))
            session = identifier and self._sessions.find(identifier, active=active)
            if identifier and session:
                caller = session.caller()
                if caller is not None:
                    return Visitor(caller, f"session {identifier}", identifier)
                self._sessions.end(identifier)
        caller = await self._access.caller(request)
        return None if caller is None else Visitor(caller, f"caller {caller.name}")

    async def log_in(self, request: Request, name: str, secret: str) -> str | None:
        """The identifier of a new session for a token, or for a name with its password; None when it is wrong.

        Raises TooOften.
        """
        if not name:
            if self._access.token(secret, request) is None:
                return None
            return self._sessions.begin(lambda: self._keys().of_token(secret))
        if await self._access.password(name, secret, request) is None:
            return None
        hashed = self._keys().hashes.get(name)

        def owner() -> Caller | None:
            keys = self._keys()
            return keys.users.get(name) if keys.hashes.get(name) == hashed else None

        return self._sessions.begin(owner)

    def log_out(self, visitor: Visitor) -> None:
        """End the session, if it is one."""
        if visitor.session:
            self._sessions.end(visitor.session)

    def forget(self, request: Request) -> None:
        """End the session that the browser came with, if any: a login begins a new one."""
        self._sessions.end(request.cookies.get(_cookie(request), ""))

    def form_token(self, binding: str) -> str:
        """The token for a form."""
        return self._tokens.of(binding)

    def wrong(self, request: Request, form: Mapping[str, str], binding: str) -> str:
        """Why this form is not taken, as a sentence; "" when it is."""
        if self._access.comes_from_elsewhere(request):
            return "This form was sent from another site, so nothing was done."
        if not self._tokens.matches(binding, form.get("form_token", "")):
            return "This page is out of date (you logged in again, or the receiver restarted), so nothing was done."
        return ""


async def read_form(request: Request) -> dict[str, str] | None:
    """The fields of an urlencoded form; None for one that is too large."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > FORM_LIMIT:
            return None
    fields = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=50)
    return {name: value.strip() for name, value in fields}


def let_in(request: Request, response: Response, identifier: str) -> None:
    """Give the browser the session."""
    _set(request, response, _cookie(request), identifier, ABSOLUTE)


def let_out(request: Request, response: Response) -> None:
    """Take it away."""
    _set(request, response, _cookie(request), "", 0)


def newcomer(request: Request, response: Response | None = None, binding: str = "") -> str:
    """What the token of the login form is bound to: a cookie of its own. Given a response, it is put there."""
    found = binding or request.cookies.get(_cookie(request) + "_login") or secrets.token_urlsafe(16)
    if response is not None:
        _set(request, response, _cookie(request) + "_login", found, ABSOLUTE)
    return found


def _cookie(request: Request) -> str:
    # The prefix keeps other hosts of the same domain from setting it; browsers take it under TLS only.
    return "__Host-airbag" if request.url.scheme == "https" else "airbag"


def _set(request: Request, response: Response, name: str, value: str, seconds: float) -> None:
    secure = request.url.scheme == "https"
    response.set_cookie(name, value, max_age=int(seconds), path="/", secure=secure, httponly=True, samesite="strict")
