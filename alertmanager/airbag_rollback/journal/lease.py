"""Who leads: of all receivers on one journal, the one that acts.

The leader holds a lease, a row that it renews every second, and acts only while its own clock says that it holds. How
the others find out that it is gone is `succession`'s. A leader that was paused is shut out by a higher fence before
anybody else acts.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

from airbag.errors import AirbagError
from airbag.log import Complaints
from airbag_rollback.journal.database import LEADER, Database, Fenced
from airbag_rollback.journal.succession import TTL, Held, Succession

log = logging.getLogger("airbag.receiver.lease")

_RENEW = 1.0
_TRY = 0.25


class Lease:
    """The part of one process. Any thread may ask; `floor` gives the highest fence that the world has seen."""

    def __init__(
        self, database: Database, succession: Succession, floor: Callable[[], int] = lambda: 0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._database = database
        self._succession = succession
        self._floor = floor
        self._monotonic = monotonic
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
            if self._database.last_error:
                self._try_to_write()
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
                    (LEADER, fence, self._succession.me),
                )
        self._succession.release()

    def holder(self) -> Held | None:
        """The row as it is."""
        rows = self._database.rows("SELECT fence, holder, boot, expires, locked FROM leases WHERE name = ?", LEADER)
        return next((Held(*row) for row in rows), None)

    def _renew(self) -> bool:
        began = self._monotonic()
        self._succession.prepare()
        with self._database.write("renewal") as connection:
            found = connection.execute(
                "UPDATE leases SET expires = ?, locked = ? WHERE name = ? AND fence = ? AND holder = ?",
                (began + TTL, int(self._succession.locked), LEADER, self.fence, self._succession.me),
            )
            renewed = found.count == 1
        if renewed:
            late = self._monotonic() - self._valid_until
            if late > 0:
                log.warning(
                    "the lease had run out before it was renewed; the journal or this host is slow",
                    extra={"seconds": late},
                )
            self._valid_until = began + TTL
        else:
            self._database.fence = 0
        return renewed

    def _try_to_write(self) -> None:
        """A standby writes nothing by itself, and would not learn that the journal can be written again."""
        with self._database.write("trial") as connection:
            connection.execute(
                "INSERT INTO meta VALUES ('tried', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (self._succession.me,),
            )

    def _take(self) -> bool:
        self._succession.prepare()
        try:
            if self._is_free():
                with self._database.write("lease"):
                    granted = self._grant() if self._is_free() else 0  # somebody may have been faster
                self._database.fence = granted
        finally:
            if not self.fence:
                self._succession.release()
        return bool(self.fence)

    def _is_free(self) -> bool:
        return self._succession.is_free(self.holder())

    def _grant(self) -> int:
        began = self._monotonic()
        held = self.holder()
        fence = max(held.fence if held else 0, self._floor()) + 1
        with self._database.write("lease") as connection:
            connection.execute(
                "INSERT INTO leases (name, fence, holder, boot, expires, locked) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET fence = excluded.fence, holder = excluded.holder, "
                "boot = excluded.boot, expires = excluded.expires, locked = excluded.locked",
                (
                    LEADER, fence, self._succession.me, self._succession.boot, began + TTL,
                    int(self._succession.locked),
                ),
            )  # fmt: skip
        self._valid_until = began + TTL
        return fence


class Keeper(threading.Thread):
    """Tends the lease, whatever the other threads wait for. `changed` hears of every change of leadership."""

    def __init__(self, lease: Lease, changed: Callable[[], None] = lambda: None) -> None:
        super().__init__(name="lease", daemon=True)
        self._lease = lease
        self._complaints = Complaints(log)
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
                self._complaints.warn("the lease cannot be tended; trying on", error)
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
