"""The contract of a ledger: look, then commit everything that follows from it at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from airbag.errors import AirbagError
from airbag_exporters.quality.columns import Keys, Owner

WAITING = np.dtype(
    [
        ("key", "<u8"),  # hash of the id
        ("at", "<f8"),  # when the prediction was made, seconds since the epoch
        ("since", "<f8"),  # when it arrived; its time to live counts from here
        ("owner", "<u8"),  # hash of serving, model and version; `Change.owners` says which is which
        ("predicted", "<u8"),  # hash of the predicted class, to tell classes apart that both count as `other`
        ("class", "<i4"),  # index of the predicted class, -1 without one
        ("segments", "<u4"),  # the value of each of up to four segments, a byte each
        ("score", "<f8"),  # probability of the positive or predicted class, or the number that a regression gave
    ]
)
"""A prediction that waits for its label, or that had it."""


@dataclass(frozen=True)
class Limits:
    """At most `pending_max` predictions for `label_ttl` seconds, as many labels without one for `early_label_ttl`."""

    pending_max: int
    label_ttl: float
    early_label_ttl: float


class State(IntEnum):
    """What a ledger knows of an id."""

    ABSENT = 0
    PENDING = 1  # predicted, without a label
    DONE = 2  # predicted and labelled
    EARLY = 3  # labelled, without a prediction


class Conflict(AirbagError):
    """Another replica was faster: look again and commit what then follows. Nothing was committed."""

    reason = "conflict"
    retryable = True


class LedgerUnavailable(AirbagError):
    """The ledger cannot be read or written now: disk full, server away. Nothing was committed."""

    reason = "ledger"
    retryable = True


@dataclass(frozen=True)
class Looked:
    """What is known of n ids: `states` (n,) of State; `rows` (n,) WAITING, zeros where ABSENT or EARLY.

    `extras` holds, by position, what `Change.extras` kept for a PENDING prediction; `early` what `Change.early` kept
    for an EARLY label.
    """

    states: NDArray[np.uint8]
    rows: NDArray[np.void]
    extras: Mapping[int, bytes] = field(default_factory=dict)
    early: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """All that follows from one batch; it happens whole or not at all.

    `new` (WAITING) are predictions that begin to wait, `extras` (by key) are bytes that some of them need once their
    label comes. `done` (WAITING) are predictions that got their label: those that waited, and those that are complete
    at once, because their label came before or with them. `early` (by key) are labels that wait for a prediction.
    `blocks` are whole counters, replacing what was there of this replica; an empty one goes. `cursors` say how far a
    source was read.
    """

    new: NDArray[np.void] = field(default_factory=lambda: np.empty(0, WAITING))
    extras: Mapping[int, bytes] = field(default_factory=dict)
    done: NDArray[np.void] = field(default_factory=lambda: np.empty(0, WAITING))
    early: Mapping[int, bytes] = field(default_factory=dict)
    owners: Mapping[int, Owner] = field(default_factory=dict)
    blocks: Mapping[str, bytes] = field(default_factory=dict)
    cursors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Kept:
    """What a ledger holds when a process starts."""

    owners: Mapping[int, Owner] = field(default_factory=dict)
    blocks: Mapping[str, bytes] = field(default_factory=dict)
    cursors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Expired:
    """What got no counterpart in time: predictions by the hash of their owner, and labels that had no prediction.

    A ledger keeps what it reports here until `Ledger.forget` commits it together with the counters.
    """

    predictions: Mapping[int, int] = field(default_factory=dict)
    labels: int = 0
    token: Sequence[object] = ()
    """What `forget` needs to know again; opaque."""

    def __bool__(self) -> bool:
        return bool(self.predictions or self.labels)


class Ledger(Protocol):
    """One writer a process; not thread-safe. Every call may raise LedgerUnavailable."""

    batch_rows_max: int
    """Changes of more rows should be committed in several, each with its own counters; a larger one works, slowly."""

    def load(self) -> Kept:
        """What was kept; called once, before anything else."""

    def bound(self, limits: Limits) -> None:
        """Keep to these from now on. Room for many more than at the start comes with the next one."""

    def look(self, keys: Keys) -> Looked:
        """What is known of these ids. No key may stand twice in `keys`."""

    def commit(self, change: Change) -> None:
        """Make it durable against a killed process; returns then. Conflict when what `look` said no longer holds."""

    def expire(self, now: float) -> Expired:
        """What has waited longer than the time to live, and the oldest beyond the bound; some 100,000 a call."""

    def forget(self, expired: Expired, blocks: Mapping[str, bytes]) -> None:
        """Drop what `expire` gave and keep the counters that tell of it, as one."""

    def owner(self, number: int) -> Owner | None:
        """Who that hash is; another replica may have brought it."""

    def pending(self) -> int:
        """How many predictions wait for their label; over all replicas, about right is enough."""

    def give_up(self) -> None:
        """From any thread, before the end: a call that waits for a server that is away ends with LedgerUnavailable."""

    def close(self) -> None:
        """Let go of files and connections."""
