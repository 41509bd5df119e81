"""Stands before the application and holds the web configuration: passwords, rate limit, response headers."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Callable, Mapping

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airbag.clock import Clock, SystemClock
from airbag.web_config import RateLimit
from airbag.web_file import WebFile

_REMEMBERED = 256  # passwords found right
_WAITING = 16  # password checks at once, all but one in the queue
_BCRYPT_BYTES = 72  # bcrypt looks at no more; the library refuses longer ones instead of cutting them


class Busy(Exception):
    """Too many passwords wait to be checked."""


class Passwords:
    """Checks passwords, one at a time and off the event loop; a right one is remembered by a keyed hash."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: dict[bytes, None] = {}
        self._turn = anyio.CapacityLimiter(1)
        self._asking = 0

    def remembers(self, users: Mapping[str, str], authorization: str) -> bool:
        """Whether this very password was found right before, which takes no time to say."""
        given = _name_and_password(authorization)
        return bool(given and given[0] in users and self._digest(given[0], users[given[0]], given[1]) in self._right)

    async def accepts(self, users: Mapping[str, str], authorization: str) -> bool:
        """Whether the Authorization header holds a name of `users` and its password. Raises Busy.

        An unknown name is compared with the hash of another user, so that the answer takes as long.
        """
        given = _name_and_password(authorization)
        if given is None:
            return False
        name, password = given
        hashed = users.get(name) or next(iter(users.values()))
        remembered = self._digest(name, hashed, password)
        if remembered in self._right:
            return True
        if self._asking >= _WAITING:
            raise Busy
        self._asking += 1
        try:
            right = await anyio.to_thread.run_sync(self._check, remembered, password, hashed, limiter=self._turn)
        finally:
            self._asking -= 1
        if not right or name not in users:
            return False
        self._right[remembered] = None
        if len(self._right) > _REMEMBERED:
            del self._right[next(iter(self._right))]
        return True

    def _check(self, remembered: bytes, password: bytes, hashed: str) -> bool:
        if remembered in self._right:  # found right while this one waited
            return True
        import bcrypt  # only processes with passwords pay for it

        try:
            return bcrypt.checkpw(password, hashed.encode())
        except ValueError:  # a NUL byte, or a salt that only looks like one
            return False

    def _digest(self, name: str, hashed: str, password: bytes) -> bytes:
        """Holds the hash in force, so that a changed password is forgotten at once."""
        text = b"\0".join([name.encode(errors="surrogateescape").hex().encode(), hashed.encode(), password])
        return hashlib.blake2b(text, key=self._key, digest_size=32).digest()


def _name_and_password(authorization: str) -> tuple[str, bytes] | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (name.decode(errors="surrogateescape"), password[:_BCRYPT_BYTES]) if colon else None


class Bucket:
    """The tokens of the rate limit, for all clients together."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._limit = RateLimit()
        self._tokens = 0.0
        self._filled_at = 0.0

    def take(self, limit: RateLimit) -> bool:
        """Take one token; False when there is none. A limit that changed begins with a full bucket."""
        if not limit.interval:
            return True
        now = self._clock.monotonic()
        if limit != self._limit:
            self._limit, self._tokens, self._filled_at = limit, float(limit.burst), now
        self._tokens = min(limit.burst, self._tokens + (now - self._filled_at) / limit.interval)
        self._filled_at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class Guard:
    """An ASGI application around another.

    Paths for which `own_auth` is true check who asks by themselves: they get no password question and no rate limit.
    """

    def __init__(
        self, app: ASGIApp, file: WebFile, own_auth: Callable[[str], bool], clock: Clock | None = None
    ) -> None:
        self._app = app
        self._file = file
        self._own_auth = own_auth
        self._bucket = Bucket(clock or SystemClock())
        self._passwords = Passwords()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        config = self._file.current()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(config.http_server_config.headers)
            await send(message)

        refusal = None
        if not self._own_auth(scope["path"]):
            refusal = await self._refusal(config.rate_limit, config.basic_auth_users, Headers(scope=scope))
        await (refusal or self._app)(scope, receive, send_with_headers)

    async def _refusal(self, limit: RateLimit, users: Mapping[str, str], headers: Headers) -> ASGIApp | None:
        if not self._bucket.take(limit):
            return PlainTextResponse("too many requests\n", 429)
        try:
            if not users or await self._passwords.accepts(users, headers.get("authorization", "")):
                return None
        except Busy:
            return PlainTextResponse("too many passwords to check\n", 429, {"Retry-After": "1"})
        challenge = {"WWW-Authenticate": 'Basic realm="airbag", charset="UTF-8"'}
        return PlainTextResponse("name and password, please\n", 401, challenge)
