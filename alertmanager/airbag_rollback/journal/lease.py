"""Who leads: of all receivers on one journal, on one host, the one that acts.

The leader holds a lock on the file JOURNAL.lock and a lease, a row that it renews every second. Whoever can take the
lock knows that the leader is dead, and follows at once. Whoever cannot waits until the lease has run out: then the
leader is paused, and shut out by a higher fence before anybody else acts. Time is CLOCK_MONOTONIC, which all processes
of one boot share and nobody can set.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from airbag.disk import lock_file
from airbag.errors import AirbagError
from airbag_rollback.journal.database import LEADER, Database, Fenced

log = logging.getLogger("airbag.receiver.lease")

TTL = 5.0
"""Seconds for which a lease holds after its renewal began."""

_RENEW = 1.0
_TRY = 0.25


@dataclass(frozen=True)
class Held:
    """The row. `locked` says whether the holder had the file's lock too: else another process may have it."""

    fence: int
    holder: str
    boot: str
    expires: float
    locked: int


def is_free(held: Held | None, now: float, boot: str, has_lock: bool) -> bool:
    """Whether the lease may be taken by a process of this boot, with or without the file's lock.

    A lease from another boot with its lock held belongs to another host on a shared disk: never free.
    """
    if held is None or held.expires == 0:
        return True
    if has_lock and (held.locked or held.boot != boot):
        return True
    return held.boot == boot and now >= held.expires


class Lease:
    """The part of one process. Any thread may ask; `floor` gives the highest fence that the world has seen."""

    def __init__(
        self, database: Database, path: Path, floor: Callable[[], int] = lambda: 0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._database = database
        self._lock_path = Path(f"{path}.lock")
        self._floor = floor
        self._monotonic = monotonic
        self._boot = _boot()
        self._me = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._lock: int | None = None
        self._valid_until = 0.0
        self._tending = threading.Lock()

    @property
    def fence(self) -> int:
        """The fencing token under which this process leads; 0 while it is a standby."""
        return self._database.fence

    @property
    def is_valid(self) -> bool:
        """Whether this process leads and its own clock says that nobody else can."""
        return bool(self.fence) and self._monotonic() < self._valid_until

    @contextlib.contextmanager
    def leading(self) -> Iterator[int]:
        """Bind what this thread writes in the block to the present fence. Fenced when this process does not lead."""
        fence = self.fence
        if not fence:
            raise Fenced("this receiver is a standby")
        with self._database.bound(fence):
            yield fence

    def ensure(self) -> None:
        """Right before an effect: the lease holds now, or is renewed now. Fenced or JournalError otherwise.

        Not to be called inside a transaction.
        """
        with self._tending:
            if self._database.bound_to not in (0, self.fence) or not (self.is_valid or self._renew()):
                raise Fenced("another receiver leads by now, or did in between")

    def tend(self) -> bool:
        """Renew the lease, or take it where that is right; whether this process leads now. JournalError as usual."""
        with self._tending:
            if self.fence and self._renew():
                return True
            return self._take()

    def outbid(self) -> None:
        """Begin a new term when the world has seen a higher fence than ours: with ours nothing could be written."""
        with self._tending:
            if not self.fence or self._floor() <= self.fence:
                return
            with self._database.write("lease"):
                granted = self._grant() if self._renew() else 0
            self._database.fence = granted

    def give_up(self) -> None:
        """Let a standby follow at once. What cannot be written is left to the lock, which ends with the process."""
        with self._tending, contextlib.suppress(AirbagError):
            fence, self._database.fence = self.fence, 0
            with self._database.write("lease") as connection:
                connection.execute(
                    "UPDATE leases SET expires = 0 WHERE name = ? AND fence = ? AND holder = ?",
                    (LEADER, fence, self._me),
                )
        self._unlock()

    def holder(self) -> Held | None:
        """The row as it is."""
        rows = self._database.rows("SELECT fence, holder, boot, expires, locked FROM leases WHERE name = ?", LEADER)
        return next((Held(*row) for row in rows), None)

    def _renew(self) -> bool:
        began = self._monotonic()
        if self._lock is None:
            self._lock = self._try_lock()
        with self._database.write("renewal") as connection:
            cursor = connection.execute(
                "UPDATE leases SET expires = ?, locked = ? WHERE name = ? AND fence = ? AND holder = ?",
                (began + TTL, self._lock is not None, LEADER, self.fence, self._me),
            )
            renewed = cursor.rowcount == 1
        if renewed:
            self._valid_until = began + TTL
        else:
            self._database.fence = 0
        return renewed

    def _take(self) -> bool:
        """A lock that is held without being the leader is in the leader's way: it is not kept."""
        if self._lock is None:
            self._lock = self._try_lock()
        try:
            if self._is_free():
                with self._database.write("lease"):
                    granted = self._grant() if self._is_free() else 0  # somebody may have been faster
                self._database.fence = granted
        finally:
            if not self.fence:
                self._unlock()
        return bool(self.fence)

    def _is_free(self) -> bool:
        return is_free(self.holder(), self._monotonic(), self._boot, self._lock is not None)

    def _grant(self) -> int:
        began = self._monotonic()
        held = self.holder()
        fence = max(held.fence if held else 0, self._floor()) + 1
        with self._database.write("lease") as connection:
            connection.execute(
                "INSERT OR REPLACE INTO leases (name, fence, holder, boot, expires, locked) VALUES (?, ?, ?, ?, ?, ?)",
                (LEADER, fence, self._me, self._boot, began + TTL, self._lock is not None),
            )
        self._valid_until = began + TTL
        return fence

    def _try_lock(self) -> int | None:
        try:
            return lock_file(self._lock_path)
        except OSError:  # held by another process, or a folder that cannot be written now
            return None

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class Keeper(threading.Thread):
    """Tends the lease, whatever the other threads wait for. `changed` hears of every change of leadership."""

    def __init__(self, lease: Lease, changed: Callable[[], None] = lambda: None) -> None:
        super().__init__(name="lease", daemon=True)
        self._lease = lease
        self._changed = changed
        self._ending = threading.Event()
        self._told: int | None = None
        self._failing = False

    def stop(self) -> None:
        """End without giving the lease up: the other threads may still be at work."""
        self._ending.set()

    def run(self) -> None:
        while not self._ending.is_set():
            try:
                self._lease.tend()
                self._tell()
                self._failing = False
            except AirbagError as error:
                if not self._failing:
                    log.warning("the lease cannot be tended; trying on", extra={"reason": str(error)})
                self._failing = True
            except Exception:  # the next try may do better
                log.exception("tending the lease failed")
            self._ending.wait(_RENEW if self._lease.fence and not self._failing else _TRY)

    def _tell(self) -> None:
        fence = self._lease.fence
        if fence == self._told:
            return
        self._told = fence
        if fence:
            log.info(f"leading under fence {fence}")
        else:
            held = self._lease.holder()
            log.info("standby", extra={"leader": held.holder if held else "", "fence": held.fence if held else 0})
        self._changed()


def _boot() -> str:
    """What tells this start of the machine from others; "" where the kernel does not say."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""
