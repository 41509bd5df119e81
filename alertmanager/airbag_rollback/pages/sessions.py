"""Who is logged in, in memory: a restart logs everybody out."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from airbag.clock import Clock
from airbag_rollback.keys import Caller

IDLE = 3600.0
"""Seconds without a click after which one has to log in again."""

ABSOLUTE = 12 * 3600.0
"""Seconds after which one has to log in again in any case."""

_SESSIONS = 1000
_MESSAGES = 200

Tone = Literal["good", "bad"]


@dataclass(frozen=True)
class Session:
    """`caller` says whose it is by the keys in force now; None once the key that opened it is not valid any more."""

    caller: Callable[[], Caller | None]
    began: float
    seen: float


class Sessions:
    """Safe for several threads. Keeps digests of the identifiers, so that a dump of the memory opens nothing."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[bytes, Session] = {}
        self._lock = threading.Lock()

    def begin(self, caller: Callable[[], Caller | None]) -> str:
        """A new identifier, for a cookie. With too many sessions the one that began first ends."""
        identifier, now = secrets.token_urlsafe(32), self._clock.monotonic()
        with self._lock:
            while len(self._open) >= _SESSIONS:
                del self._open[next(iter(self._open))]
            self._open[_digest(identifier)] = Session(caller, now, now)
        return identifier

    def find(self, identifier: str, *, active: bool = True) -> Session | None:
        """The session, or None when it is over. What is not `active`, as a page that refreshes, keeps nobody in."""
        now, key = self._clock.monotonic(), _digest(identifier)
        with self._lock:
            session = self._open.get(key)
            if session is None:
                return None
            if now - session.seen >= IDLE or now - session.began >= ABSOLUTE:
                del self._open[key]
                return None
            if active:
                session = self._open[key] = replace(session, seen=now)
            return session

    def end(self, identifier: str) -> None:
        """Log out; again does no harm."""
        with self._lock:
            self._open.pop(_digest(identifier), None)


class Messages:
    """What the next page should tell somebody, once."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[tuple[Tone, str]]] = {}
        self._lock = threading.Lock()

    def leave(self, binding: str, tone: Tone, text: str) -> None:
        """Keep the text for whom `binding` stands for; the oldest are forgotten when there are too many."""
        with self._lock:
            self._waiting.setdefault(binding, []).append((tone, text))
            while len(self._waiting) > _MESSAGES:
                del self._waiting[next(iter(self._waiting))]

    def take(self, binding: str) -> list[tuple[Tone, str]]:
        """All of them, which empties the list."""
        with self._lock:
            return self._waiting.pop(binding, [])


class FormTokens:
    """The token in each form. It is bound to a session, or to whom a request without one comes from."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def of(self, binding: str) -> str:
        """The token."""
        return hmac.new(self._key, binding.encode(errors="surrogateescape"), hashlib.sha256).hexdigest()

    def matches(self, binding: str, given: str) -> bool:
        """Whether it is the one, in constant time."""
        return hmac.compare_digest(self.of(binding).encode(), given.encode(errors="surrogateescape"))


def _digest(identifier: str) -> bytes:
    return hashlib.blake2b(identifier.encode(errors="surrogateescape"), digest_size=32).digest()
