"""Predictions that wait for their labels: bounded in number and in time, each label counted once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Owner(NamedTuple):
    """Whose prediction it is. Models and versions that are not known are called `other`."""

    serving: str
    model: str
    version: str


class Result(Enum):
    """What became of a label; `expired` is a prediction that got none in time, or had to make room."""

    JOINED = "joined"
    UNMATCHED = "unmatched"
    DUPLICATE = "duplicate"
    EXPIRED = "expired"


@dataclass(frozen=True)
class Limits:
    """How many predictions may wait, and for how many seconds."""

    pending_max: int
    label_ttl: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """A prediction that waits for its label, or that had it. `since` is in seconds of any steady clock."""

    owner: Owner
    predicted: str
    since: float


class Join:
    """The predictions of one process. Pure: time and limits come in with each call. Not thread-safe."""

    def __init__(self) -> None:
        self._pending: OrderedDict[str, Waiting] = OrderedDict()
        self._labelled: OrderedDict[str, Waiting] = OrderedDict()  # remembered to know a second label when it comes

    def __len__(self) -> int:
        """How many predictions wait."""
        return len(self._pending)

    def predict(self, key: str, waiting: Waiting) -> bool:
        """Let a prediction wait. False, and no effect, when that key is already known: it was delivered twice."""
        if key in self._pending or key in self._labelled:
            return False
        self._pending[key] = waiting
        return True

    def label(self, key: str) -> tuple[Result, Waiting | None]:
        """What a label is for: JOINED or DUPLICATE with its prediction, or UNMATCHED."""
        waiting = self._pending.pop(key, None)
        if waiting is not None:
            self._labelled[key] = waiting
            return Result.JOINED, waiting
        before = self._labelled.get(key)
        return (Result.UNMATCHED, None) if before is None else (Result.DUPLICATE, before)

    def expire(self, now: float, limits: Limits) -> list[Owner]:
        """Drop what waited too long, and the oldest beyond the limit; the owners of those that never had a label."""
        _drop(self._labelled, now, limits)
        return [waiting.owner for waiting in _drop(self._pending, now, limits)]


def _drop(waiting: OrderedDict[str, Waiting], now: float, limits: Limits) -> list[Waiting]:
    """Take the oldest out until the rest keeps to the limits. Predictions come in the order of their time."""
    dropped = []
    while waiting:
        oldest = next(iter(waiting.values()))
        if len(waiting) <= limits.pending_max and oldest.since + limits.label_ttl > now:
            break
        dropped.append(waiting.popitem(last=False)[1])
    return dropped
