"""What has waited too long in Redis, found by reading; a script checks that it is still so when it goes."""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass

import numpy as np

from airbag_exporters.quality.ledger.redis_link import KEY, ROWS_AT_ONCE, Link
from airbag_exporters.quality.ledger.values import WAITING, Limits

BODY = WAITING.itemsize - KEY
"""Bytes of a prediction in its record, after the letter of its state."""
_BODY = np.dtype([(name, WAITING[name]) for name in WAITING.names or () if name != "key"])
_ENTRIES = 1000  # early labels that are looked at in one go
_RUNS = 256  # batches, at most


@dataclass(frozen=True)
class Due:
    """What goes: the oldest runs, of the last one only `partly` rows, and the oldest entries of early labels.

    `waiting` and `labels` are how many of them had no counterpart when this was found.
    """

    runs: tuple[bytes, ...] = ()
    partly: int = 0
    entries: bytes = b""
    waiting: int = 0
    labels: int = 0


def find_due(link: Link, limits: Limits, now: float) -> tuple[Due, dict[int, int], int]:
    """What goes, the predictions without label among it by owner, and how many predictions wait in all."""
    prefix = link.prefix
    (held, pending), runs, entries, labels = link.ask_all(
        [
            ("HMGET", f"{prefix}:numbers", "held", "pending"),
            ("LRANGE", f"{prefix}:runs", 0, _RUNS - 1),
            ("LRANGE", f"{prefix}:early", 0, _ENTRIES - 1),
            ("LLEN", f"{prefix}:early"),
        ]
    )
    going, partly, keys = _due_runs(link, runs, now - limits.label_ttl, int(held or 0) - limits.pending_max)
    waiting = [record for record in link.records(keys) if record and record[:1] == b"P"]
    owners, counts = np.unique(
        np.frombuffer(b"".join(record[1 : 1 + BODY] for record in waiting), _BODY)["owner"], return_counts=True
    )
    late = _due_entries(entries, now - limits.early_label_ttl, labels - limits.pending_max)
    early = link.records(b"".join(entry[16:] for entry in late))
    unmatched = sum(1 for record, entry in zip(early, late, strict=True) if (record or b"")[:9] == b"E" + entry[8:16])
    due = Due(tuple(going), partly, b"".join(late), len(waiting), unmatched)
    return due, dict(zip(owners.tolist(), counts.tolist(), strict=True)), int(pending or 0)


def _due_runs(link: Link, runs: list[bytes], before: float, surplus: int) -> tuple[list[bytes], int, bytes]:
    """The runs, how many rows of the last of them, and the keys of all these rows."""
    going: list[bytes] = []
    keys = b""
    for run in runs:
        kept = link.ask("GET", f"{link.prefix}:run:{run.decode()}") or b""
        rows = max(len(kept) - 8, 0) // KEY
        goes = rows if not kept or _since(kept) <= before else min(rows, surplus - len(keys) // KEY)
        if kept and goes <= 0:
            break
        going.append(run)
        keys += kept[8 : 8 + goes * KEY]
        if goes < rows or len(keys) >= ROWS_AT_ONCE * KEY:
            return going, goes, keys
    return going, ROWS_AT_ONCE, keys


def _due_entries(entries: list[bytes], before: float, surplus: int) -> list[bytes]:
    """In the order of arrival: one that came while a clock was ahead holds up those behind it."""
    numbered = enumerate(entries)
    return [
        entry for _, entry in itertools.takewhile(lambda each: _since(each[1]) <= before or each[0] < surplus, numbered)
    ]


def _since(kept: bytes) -> float:
    since: float = struct.unpack_from("<d", kept)[0]
    return since
