"""What the clients saw: every answer, judged, and the numbers that the demo reports."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """How one request ended."""

    GOOD = "good"
    WRONG = "wrong"
    SLOW = "slow"
    ERROR = "error"
    LOST = "lost"
    """No answer of any model: transport error, NOT_FOUND, UNAVAILABLE, timeout."""


LOST_CODES = frozenset({"NOT_FOUND", "UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "RESOURCE_EXHAUSTED"})


@dataclass(frozen=True)
class Answer:
    """One request and how it ended. `version` is None when no model answered; times are epoch seconds."""

    row: int
    sent_at: float
    done_at: float
    outcome: Outcome
    version: int | None = None
    right: bool = False


class Observations:
    """All answers so far; many threads may add."""

    def __init__(self) -> None:
        self._answers: list[Answer] = []
        self._lock = threading.Lock()

    def add(self, answer: Answer) -> None:
        """Note one."""
        with self._lock:
            self._answers.append(answer)

    def all(self) -> list[Answer]:
        """A copy of everything, in the order in which the answers arrived."""
        with self._lock:
            return list(self._answers)


def accuracy(answers: Iterable[Answer]) -> float | None:
    """The share of right answers among the newest one for each row; None without any.

    Each row counts once, so that two full rounds over the same rows give the same number for the same model.
    """
    newest = {answer.row: answer.right for answer in answers}
    return sum(newest.values()) / len(newest) if newest else None


def first(answers: Iterable[Answer], wanted: Callable[[Answer], bool]) -> float | None:
    """When the first wanted answer arrived."""
    return min((answer.done_at for answer in answers if wanted(answer)), default=None)


def last(answers: Iterable[Answer], wanted: Callable[[Answer], bool]) -> float | None:
    """When the last wanted answer arrived."""
    return max((answer.done_at for answer in answers if wanted(answer)), default=None)
