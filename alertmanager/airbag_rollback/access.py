"""Who is asking: a bearer token, a name with its password, or a client certificate."""

from __future__ import annotations

import base64
import logging
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from airbag.clock import Clock
from airbag.errors import AirbagError
from airbag.http_limits import CLIENT_NAME
from airbag.web_config import RateLimit
from airbag.web_guard import Bucket, Busy, Passwords
from airbag_rollback.keys import Caller, Keys
from airbag_rollback.policy import Role

log = logging.getLogger("airbag.receiver.access")

REASONS = ("nobody", "token", "password", "certificate", "too_often", "role", "cross_site")
"""Why somebody was not let in, as the metric says it."""

_TRIES = RateLimit.model_construct(interval=3.0, burst=10)
"""Wrong passwords that one address may try."""

_ADDRESSES = 1024


class TooOften(AirbagError):
    """Too many wrong passwords came from there, or too many wait to be checked. Nothing was checked."""

    reason = "too_often"
    retryable = True


class Access:
    """Tells who asks. `keys` gives those in force; `refused` hears of everybody who was not let in, by a reason."""

    def __init__(self, keys: Callable[[], Keys], refused: Callable[[str], None], clock: Clock) -> None:
        self._keys = keys
        self._refused = refused
        self._clock = clock
        self._passwords = Passwords()
        self._tries: OrderedDict[str, Bucket] = OrderedDict()

    async def caller(self, request: HTTPConnection) -> Caller | None:
        """Who asks, or None, which is counted. Raises TooOften.

        What stands in the Authorization header counts alone: a wrong token is not made good by a certificate.
        """
        authorization = request.headers.get("authorization")
        scheme, _, credentials = (authorization or "").strip().partition(" ")
        if scheme.lower() == "bearer":
            return self.token(credentials.strip(), request)
        if scheme.lower() == "basic":
            return await self._basic(f"Basic {credentials.strip()}", request)
        if authorization:
            return self._nobody("token", request)
        name = request.scope.get("extensions", {}).get(CLIENT_NAME, {}).get("name")
        if name is None:
            return self._nobody("nobody", request)
        return self._keys().certificates.get(name) or self._nobody("certificate", request)

    def token(self, token: str, request: HTTPConnection) -> Caller | None:
        """Whose token it is, or None, which is counted."""
        return self._keys().of_token(token) or self._nobody("token", request)

    async def password(self, name: str, password: str, request: HTTPConnection) -> Caller | None:
        """The user of that name if the password is right, or None, which is counted. Raises TooOften."""
        if ":" in name:
            return self._nobody("password", request)
        both = base64.b64encode(f"{name}:{password}".encode(errors="surrogateescape")).decode()
        return await self._basic(f"Basic {both}", request)

    def lacks(self, caller: Caller, role: Role, request: HTTPConnection) -> bool:
        """Whether the caller may not do what asks for `role`; counted when so."""
        if caller.may(role):
            return False
        self._refused("role")
        log.warning("refused", extra={"reason": "role", "who": caller.name, "needs": role, "path": request.url.path})
        return True

    def comes_from_elsewhere(self, request: HTTPConnection) -> bool:
        """Whether a page of another site makes a browser ask; counted when so.

        Browsers add passwords, certificates and cookies to such requests by themselves. Others than browsers send
        neither header.
        """
        site = request.headers.get("sec-fetch-site")
        origin = request.headers.get("origin")
        elsewhere = site not in (None, "same-origin", "none")
        if origin is not None:
            elsewhere = elsewhere or _place(origin) != request.headers.get("host", "").lower()
        if elsewhere:
            self._nobody("cross_site", request)
        return elsewhere

    async def _basic(self, authorization: str, request: HTTPConnection) -> Caller | None:
        keys = self._keys()
        if not keys.hashes:
            return self._nobody("password", request)
        if not self._passwords.remembers(keys.hashes, authorization):
            self._take_a_try(request)
        try:
            right = await self._passwords.accepts(keys.hashes, authorization)
        except Busy:
            self._nobody("too_often", request)
            raise TooOften("too many passwords wait to be checked; try again in a second") from None
        if not right:
            return self._nobody("password", request)
        name = base64.b64decode(authorization.partition(" ")[2]).partition(b":")[0].decode(errors="surrogateescape")
        self._tries.pop(_address(request), None)
        return keys.users[name]

    def _take_a_try(self, request: HTTPConnection) -> None:
        """Addresses that tried lately are kept, the ones that did so long ago forgotten first."""
        address = _address(request)
        bucket = self._tries.setdefault(address, Bucket(self._clock))
        self._tries.move_to_end(address)
        if len(self._tries) > _ADDRESSES:
            self._tries.popitem(last=False)
        if not bucket.take(_TRIES):
            self._nobody("too_often", request)
            raise TooOften("too many wrong passwords came from there; try again in a few seconds")

    def _nobody(self, reason: str, request: HTTPConnection) -> Caller | None:
        """Count it. The log never has what was given, not even the name: people type passwords into its place."""
        self._refused(reason)
        level = logging.INFO if reason == "nobody" else logging.WARNING
        log.log(level, "refused", extra={"reason": reason, "from": _address(request), "path": request.url.path})
        return None


def _address(request: HTTPConnection) -> str:
    return request.client.host if request.client else ""


def _place(origin: str) -> str:
    """Host and port of an Origin as a Host header has them; "" for the origin of nobody."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
