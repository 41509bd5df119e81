"""The audit: append-only records, each bound to the one before it by an HMAC.

A record's MAC is HMAC-SHA256(key, MAC before || record), with the record as canonical JSON that names the algorithm
and the key itself, so that nobody can say later that a weaker one was meant. Whoever has no key cannot change, remove
or insert a record unseen. The newest MAC, told to somebody off this host, also shows that none is missing at the end.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airbag_rollback.journal.database import NO_LIMIT, Database
from airbag_rollback.records import Action, Event

ALGORITHM = "hmac-sha256"
START = "0" * 64
"""What stands for the MAC before the first record."""


@dataclass(frozen=True)
class Record:
    """One record as it lies on the disk. `text` is its canonical JSON, over which the MAC was made."""

    seq: int
    at: float
    kind: str
    action_id: int | None
    text: str
    mac: str

    @property
    def fields(self) -> dict[str, Any]:
        """The record's content."""
        found: dict[str, Any] = json.loads(self.text)
        return found


class Audit:
    """The table `audit`. Its writes belong inside the transaction of what they tell of."""

    def __init__(self, database: Database, key: bytes) -> None:
        self._database = database
        self._key = key
        self._key_id = key_id(key)

    def append(self, kind: str, fields: Mapping[str, object], now: float, action_id: int | None = None) -> None:
        """Add a record. JournalError as usual; nothing secret belongs into `fields`."""
        with self._database.write() as connection:
            rows = connection.execute("SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1").rows
            seq, before = rows[0] if rows else (0, START)
            signed = {"algorithm": ALGORITHM, "key": self._key_id, "seq": seq + 1, "at": now, "kind": kind}
            text = canonical(dict(fields) | signed)
            connection.execute(
                "INSERT INTO audit (seq, at, kind, action_id, record, mac) VALUES (?, ?, ?, ?, ?, ?)",
                (seq + 1, now, kind, action_id, text, mac(self._key, before, text)),
            )

    def sign_on(self, now: float) -> None:
        """Take down that another key is used from here on, when the newest record was made with another one."""
        with self._database.write("key"):
            newest = list(self._records("seq = (SELECT max(seq) FROM audit) AND seq > ?", 0))
            if newest and newest[0].fields.get("key") != self._key_id:
                fields = {"key_before": newest[0].fields.get("key"), "mac_before": newest[0].mac}
                self.append("key changed", fields, now)

    def transition(self, action: Action, before: str, now: float, by: str = "") -> None:
        """Add the record of a transition to where `action` stands now."""
        fields = {
            "action_id": action.id, "serving": action.serving, "model_name": action.model_name,
            "bad_version": action.bad_version, "target_version": action.target_version, "source": action.source,
            "effect": action.effect, "attempt": action.attempt, "step": action.step, "fence": action.fence,
            "before": before, "after": str(action.state), "reason": action.reason, "text": action.text, "by": by,
            "evidence": hashlib.sha256(canonical(action.evidence).encode()).hexdigest() if action.evidence else "",
        }  # fmt: skip
        self.append("transition", fields, now, action.id)

    def transitions(self, action_id: int) -> list[Event]:
        """The transitions of one action, in order."""
        found = self._records("action_id = ? AND kind = 'transition'", action_id)
        return [
            Event(each.at, *(each.fields[name] for name in ("before", "after", "reason", "text", "by")))
            for each in found
        ]

    def records(self, after: int = 0, limit: int = 1000) -> list[Record]:
        """Records that follow number `after`, oldest first."""
        return list(self._records("seq > ?", after, limit=limit))

    def all(self, action_id: int | None = None) -> Iterator[Record]:
        """Every record, or those of one action, oldest first; read in parts."""
        if action_id is not None:
            yield from self._records("action_id = ?", action_id)
            return
        after = 0
        while part := self.records(after):
            yield from part
            after = part[-1].seq

    def kept(self) -> tuple[int, str]:
        """Number and MAC of the last record that retention removed; (0, START) before the first time."""
        rows = self._database.rows("SELECT seq, mac FROM audit_anchor")
        return rows[0] if rows else (0, START)

    def head(self) -> tuple[int, str]:
        """Number and MAC of the newest record; (0, START) when there is none."""
        rows = self._database.rows("SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1")
        return rows[0] if rows else (0, START)

    def _records(self, where: str, value: int, limit: int = NO_LIMIT) -> Iterator[Record]:
        rows = self._database.rows(
            f"SELECT seq, at, kind, action_id, record, mac FROM audit WHERE {where} ORDER BY seq LIMIT ?",  # noqa: S608 - our own text
            value, limit,
        )  # fmt: skip
        return (Record(*row) for row in rows)


def canonical(value: object) -> str:
    """JSON in one spelling: sorted keys, no blanks, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def key_id(key: bytes) -> str:
    """What tells a key from others without telling the key."""
    return hmac.new(key, b"airbag audit key", hashlib.sha256).hexdigest()[:8]


def mac(key: bytes, before: str, text: str) -> str:
    """The MAC of a record in hex."""
    return hmac.new(key, before.encode() + text.encode(), hashlib.sha256).hexdigest()


def head_number(mac: str) -> int:
    """The first 48 bits of a MAC: as much as a sample of Prometheus holds exactly."""
    return int(mac[:12], 16)
