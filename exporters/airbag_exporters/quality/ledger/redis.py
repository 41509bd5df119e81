"""The ledger of several replicas, in one Redis (7 or newer; alone or behind Sentinel).

All keys begin with {PREFIX}, in braces. `w:KEY` is what is known of one id: its state (P, D or E) and its bytes; it
outlives `label_ttl`, so that what expires is still there to be counted. `runs` lists batches in the order of arrival,
`run:N` has the keys of one; `early` lists labels without a prediction. `replicas` says by which token each replica may
write, and how many changes it made. Scripts check that the token is right and that each id is still in the state that
`look` saw, then change everything at once; which is why each id is counted by exactly one replica.

Redis must keep what it was told: `appendonly yes` with `appendfsync everysec` (a crash of its machine loses a second)
or `always`, and `maxmemory-policy noeviction`. When it lost its data, this replica notices at its next change and
writes its counters again, so that they do not go down; predictions that waited are gone.
"""

from __future__ import annotations

import logging
import secrets
import struct
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from airbag.clock import Clock
from airbag_exporters.config import RedisLedger
from airbag_exporters.quality.columns import Keys, Owner
from airbag_exporters.quality.ledger.redis_expiry import BODY, Due, find_due
from airbag_exporters.quality.ledger.redis_link import KEY, ROWS_AT_ONCE, Argument, Link, script
from airbag_exporters.quality.ledger.values import (
    WAITING,
    Change,
    Conflict,
    Expired,
    Kept,
    LedgerUnavailable,
    Limits,
    Looked,
    State,
)

log = logging.getLogger("airbag.exporter.quality")
_LETTERS = {State.ABSENT: b"-", State.PENDING: b"P", State.DONE: b"D", State.EARLY: b"E"}
_STATE_OF = np.zeros(256, np.uint8)
_STATE_OF[[letter[0] for letter in _LETTERS.values()]] = list(_LETTERS)
_LETTER_OF = np.frombuffer(b"".join(_LETTERS[state] for state in sorted(_LETTERS)), np.uint8)
_SPARE_SECONDS = 86_400.0  # how much longer than twice its time a record may live, should no replica run
_LOOKS = 64  # that a commit may rest on; ids that were looked at before are looked at again
_LEASE_MILLISECONDS = 5000


class TakenOver(LedgerUnavailable):
    """Another process runs under this replica's name; nothing of this one is kept any more, for good."""

    retryable = False


class SharedLedger:
    """A Ledger (see there) for one replica. `load` ends the right to write of whoever ran under its name before."""

    batch_rows_max = ROWS_AT_ONCE

    def __init__(self, link: Link, replica: str, limits: Limits, clock: Clock) -> None:
        self._link, self._replica, self._limits, self._clock = link, replica, limits, clock
        self._token = secrets.token_hex(8)
        self._changes = 0
        self._is_taken_over = False
        self._pending = 0
        self._owners: dict[int, Owner] = {}
        self._blocks: dict[str, bytes] = {}
        self._cursors: dict[str, str] = {}
        self._seen: list[tuple[Keys, NDArray[np.uint8]]] = []
        self._commit, self._forget = (
            script("redis_fence.lua", "redis_commit.lua"),
            script("redis_fence.lua", "redis_forget.lua"),
        )

    def load(self) -> Kept:
        self._link.check()
        _, before = self._link.change(script("redis_take.lua"), self._replica, self._token, self._changes)
        if before:
            log.info("this replica goes on where a process of its name ended", extra={"replica": self._replica})
        names = [
            f"{self._link.prefix}:{name}" for name in (f"blocks:{self._replica}", "owners", f"cursors:{self._replica}")
        ]
        blocks, owners, cursors, pending = self._link.ask_all(
            [*(("HGETALL", name) for name in names), ("HGET", f"{self._link.prefix}:numbers", "pending")]
        )
        self._pending = int(pending or 0)
        self._blocks = {name.decode(): data for name, data in blocks.items()}
        self._owners = {int(number): _owner(data) for number, data in owners.items()}
        self._cursors = {name.decode(): data.decode() for name, data in cursors.items()}
        return Kept(dict(self._owners), dict(self._blocks), dict(self._cursors))

    def bound(self, limits: Limits) -> None:
        self._limits = limits

    def look(self, keys: Keys) -> Looked:
        values = self._link.records(keys.tobytes())
        states = _STATE_OF[np.frombuffer(b"".join(value[:1] if value else b"-" for value in values), np.uint8)]
        rows = np.zeros(len(keys), WAITING)
        found = np.flatnonzero((states == State.PENDING) | (states == State.DONE))
        bodies = b"".join(_value[1 : 1 + BODY] for _value in (values[row] for row in found.tolist()) if _value)
        as_bytes = rows.view(np.uint8).reshape(len(keys), WAITING.itemsize)
        as_bytes[found, KEY:] = np.frombuffer(bodies, np.uint8).reshape(len(found), BODY)
        rows["key"][found] = keys[found]
        self._seen = [*self._seen[-_LOOKS:], (keys, states)]
        extras = _rests(values, np.flatnonzero(states == State.PENDING), 1 + BODY)
        return Looked(
            states, rows, {row: data for row, data in extras.items() if data},
            _rests(values, np.flatnonzero(states == State.EARLY), 1 + KEY),
        )  # fmt: skip

    def commit(self, change: Change) -> None:
        rows = np.concatenate([change.new, change.done])
        early = np.fromiter(change.early, np.uint64, len(change.early))
        places = enumerate(change.new["key"].tolist(), 1) if change.extras else ()
        owners = {number: owner for number, owner in change.owners.items() if number not in self._owners}
        self._change(
            self._commit,
            *self._lifetimes(),
            rows.tobytes(), len(change.new), early.tobytes(),
            self._expected(np.concatenate([rows["key"], early])),
            struct.pack("<d", rows["since"].max() if len(rows) else 0.0), struct.pack("<d", self._clock.now()),
            *_listed({place: change.extras[key] for place, key in places if key in change.extras}),
            len(early), *change.early.values(),
            *_listed(change.blocks), *_listed(_joined(owners)), *_listed(change.cursors),
        )  # fmt: skip
        self._owners |= owners
        self._remember(change.blocks)
        self._cursors |= change.cursors

    def expire(self, now: float) -> Expired:
        while True:
            due, predictions, self._pending = find_due(self._link, self._limits, now)
            if not (due.runs or due.entries) or not self._is_my_turn():
                return Expired()
            expired = Expired(predictions, due.labels, (due,))
            if expired:
                return expired
            try:
                self.forget(expired, {})
            except Conflict:  # another replica is at it
                return Expired()

    def forget(self, expired: Expired, blocks: Mapping[str, bytes]) -> None:
        due = expired.token[0] if expired.token else Due()
        if not isinstance(due, Due):
            raise TypeError("this came from another ledger")
        self._change(
            self._forget,
            due.waiting, due.labels, due.entries, due.partly, len(due.runs), *due.runs, *_listed(blocks)[1:],
        )  # fmt: skip
        self._remember(blocks)

    def owner(self, number: int) -> Owner | None:
        if number not in self._owners:
            data = self._link.ask("HGET", f"{self._link.prefix}:owners", number)
            if data is None:
                return None
            self._owners[number] = _owner(data)
        return self._owners[number]

    def pending(self) -> int:
        return self._pending

    def give_up(self) -> None:
        self._link.give_up()

    def close(self) -> None:
        self._link.close()

    def _remember(self, blocks: Mapping[str, bytes]) -> None:
        self._blocks = {name: data for name, data in (self._blocks | dict(blocks)).items() if data}

    def _is_my_turn(self) -> bool:
        """One replica expires at a time, so that others do not do the same in vain; exact it is without that, too."""
        name, life = f"{self._link.prefix}:expiring", ("PX", _LEASE_MILLISECONDS)
        if self._link.ask("SET", name, self._replica, "NX", *life):
            return True
        is_mine = self._link.ask("GET", name) == self._replica.encode()
        return is_mine and bool(self._link.ask("SET", name, self._replica, *life))

    def _change(self, text: str, *arguments: Argument) -> None:
        """Run a script that changes things, at most once."""
        self._seen = []
        if not self._is_taken_over:
            answer, *more = self._link.change(text, self._replica, self._token, self._changes + 1, *arguments)
            self._is_taken_over = answer == b"taken over"
        if self._is_taken_over:
            raise TakenOver(
                f"another process writes to {self._link.url} as replica {self._replica!r}. End one of both, or give "
                "them different names (`quality.replica`)"
            )
        if answer == b"lost":
            self._write_again()
        if answer != b"ok":
            raise Conflict("another replica was faster" if answer == b"conflict" else "Redis had lost its data")
        self._changes += 1
        self._pending = int(more[0] or 0)

    def _write_again(self) -> None:
        """After a Redis that lost data: counters must not go down."""
        log.error(
            "Redis lost data: the counters are written again, predictions that waited may be gone",
            extra={"redis": self._link.url, "remedy": "set `appendonly yes`"},
        )
        kept = (*_listed(self._blocks), *_listed(_joined(self._owners)), *_listed(self._cursors))
        answer = self._link.change(script("redis_take.lua"), self._replica, self._token, self._changes, *kept)
        self._is_taken_over = answer[0] == b"taken over"

    def _lifetimes(self) -> tuple[int, int]:
        limits = self._limits
        return int(2 * limits.label_ttl + _SPARE_SECONDS), int(2 * limits.early_label_ttl + _SPARE_SECONDS)

    def _expected(self, keys: Keys) -> bytes:
        """A letter for the state in which `look` saw each key last."""
        if not len(keys):
            return b""
        known = np.concatenate([keys[:0], *(some for some, _ in self._seen)])
        order = np.argsort(known, kind="stable")
        places = np.searchsorted(known[order], keys, side="right") - 1
        is_known = places >= 0
        is_known[is_known] = known[order][places[is_known]] == keys[is_known]
        if not is_known.all():
            self.look(keys[~is_known])
            return self._expected(keys)
        states = np.concatenate([states for _, states in self._seen])[order][places]
        return bytes(_LETTER_OF[states])


def redis_ledger(config: RedisLedger, replica: str, limits: Limits, clock: Clock) -> SharedLedger:
    """The ledger in this Redis, which is spoken to from `load` on."""
    return SharedLedger(Link(config), replica, limits, clock)


def _rests(values: Sequence[bytes | None], rows: NDArray[np.intp], start: int) -> dict[int, bytes]:
    """By row, what follows the fixed part of its value."""
    return {row: value[start:] for row in rows.tolist() if (value := values[row]) is not None}


def _listed(items: Mapping[int, bytes] | Mapping[str, bytes] | Mapping[str, str]) -> list[Argument]:
    """Names and values in turn, after how many that are."""
    flat: list[Argument] = [part for pair in items.items() for part in pair]
    return [len(flat), *flat]


def _joined(owners: Mapping[int, Owner]) -> dict[str, str]:
    return {str(number): "\0".join(owner) for number, owner in owners.items()}


def _owner(data: bytes) -> Owner:
    return Owner(*data.decode().split("\0"))
