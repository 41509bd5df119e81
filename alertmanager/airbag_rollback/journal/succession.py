"""How a process finds out that nobody leads any more: on one host by a lock of the kernel, across hosts by watching."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airbag.disk import lock_file

TTL = 5.0
"""Seconds for which a lease holds after its renewal began."""

_SLACK = 0.25
"""Seconds more that are watched across hosts: their clocks do not run equally fast."""


@dataclass(frozen=True)
class Held:
    """The row of the lease. `expires` is in the monotonic time of the host that `boot` is a start of.

    `locked` says whether the holder had the file's lock too: else another process may have it.
    """

    fence: int
    holder: str
    boot: str
    expires: float
    locked: int


class Succession(ABC):
    """The part of one process. `me` is its name, which no other process ever has."""

    def __init__(self) -> None:
        self.me = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self.boot = _boot()

    @property
    def locked(self) -> bool:
        """Whether this process holds a lock that ends with it."""
        return False

    @abstractmethod
    def prepare(self) -> None:
        """Before a look at the row, and before it is written."""

    @abstractmethod
    def is_free(self, held: Held | None) -> bool:
        """Whether the lease may be taken by this process."""

    @abstractmethod
    def release(self) -> None:
        """This process does not lead."""


def is_free(held: Held | None, now: float, boot: str, has_lock: bool) -> bool:
    """Whether the lease may be taken by a process of this boot, with or without the file's lock.

    A lease from another boot with its lock held belongs to another host on a shared disk: never free.
    """
    if held is None or held.expires == 0:
        return True
    if has_lock and (held.locked or held.boot != boot):
        return True
    return held.boot == boot and now >= held.expires


class OneHost(Succession):
    """A lock on the file JOURNAL.lock, and a clock that all processes of one boot share and nobody can set.

    Whoever can take the lock knows that the leader is dead, and follows at once. Whoever cannot waits until the lease
    has run out: then the leader is paused.
    """

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._path = Path(f"{path}.lock")
        self._monotonic = monotonic
        self._lock: int | None = None

    @property
    def locked(self) -> bool:
        return self._lock is not None

    def prepare(self) -> None:
        if self._lock is None:
            with contextlib.suppress(OSError):  # held by another process, or a folder that cannot be written now
                self._lock = lock_file(self._path)

    def is_free(self, held: Held | None) -> bool:
        return is_free(held, self._monotonic(), self.boot, self.locked)

    def release(self) -> None:
        """A lock that is held without being the leader is in the leader's way."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class SeveralHosts(Succession):
    """The lease is free once its row has not changed for as long as it holds, by the clock of who watches.

    No two clocks are compared, so that none of them has to be right, the database's as little as the hosts'. The
    leader counts from before it sent a renewal, the others from after they saw it.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._seen: Held | None = None
        self._since = 0.0

    def prepare(self) -> None:
        """There is nothing to hold: a session that the database lost says nothing about the process behind it."""

    def is_free(self, held: Held | None) -> bool:
        if held is None or held.expires == 0 or held.holder == self.me:
            return True
        now = self._monotonic()
        if held != self._seen:
            self._seen, self._since = held, now
        return now - self._since >= TTL + _SLACK

    def release(self) -> None:
        """Nothing is held."""


def _boot() -> str:
    """What tells this start of the machine from others; "" where the kernel does not say."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""
