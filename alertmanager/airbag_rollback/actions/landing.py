"""What every way to act has in common: plan, apply, look. The engine knows nothing else of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class Result(StrEnum):
    """What came of a touch. Only UNCLEAR leaves open whether anything changed."""

    DONE = "done"  # told, and everybody who was told took it
    SUPERSEDED = "superseded"  # things are no longer as planned; nothing was touched
    RETRY = "retry"  # not now; nothing was touched
    IMPOSSIBLE = "impossible"  # never like this; nothing was touched
    FAILED = "failed"  # it was tried and refused; nothing was touched
    UNCLEAR = "unclear"  # touched, and not everybody confirmed


@dataclass(frozen=True)
class Effect:
    """The result, with a short word for metrics and a sentence for people."""

    result: Result
    reason: str
    text: str


class Found(StrEnum):
    """What reality shows of one step of a plan."""

    DONE = "done"  # as planned, at every server
    MOVING = "moving"  # told; it goes on by itself
    PARTLY = "partly"  # some of it is done; applying it again is right when it does not go on by itself
    BEFORE = "before"  # as before the step: it may be applied again
    OTHER = "other"  # neither: somebody else's hand
    UNSEEN = "unseen"  # cannot be read now


@dataclass(frozen=True)
class Reality:
    """What is there, with a sentence for people: server by server where they differ."""

    found: Found
    text: str


@dataclass(frozen=True)
class Order:
    """All that a landing may know of an action.

    `plan` is what `Landing.plan` gave, empty before. `step` counts from 0. `key` is the same whenever the same step is
    done again, so that doing it again can be recognised. `fence` is the leader's fencing token: a writer that has seen
    a higher one refuses. `target` is None only for landings that restore nothing. `tried` are the targets of earlier
    attempts, which turned out to be bad as well.
    """

    action_id: int
    key: str
    serving: str
    model_name: str
    bad_version: int
    target: int | None
    alertname: str
    fence: int
    expected: frozenset[int]
    wanted_before: frozenset[int] | None
    step: int = 0
    plan: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON
    tried: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Planned:
    """A plan to the last detail. `document` is JSON, kept durably and given back in every later order."""

    document: dict[str, Any]  # Any: JSON
    text: str
    steps: int = 1


class Landing(Protocol):
    """One way to act. None of the three raises: what goes wrong is in the answer.

    `restores` says whether it goes back to an earlier version; without it no target is chosen and the outcome is not
    measured.
    """

    restores: bool

    def plan(self, order: Order) -> Planned | Effect:
        """What would be done, or why nothing can be (RETRY, SUPERSEDED or IMPOSSIBLE). Touches nothing."""

    def apply(self, order: Order) -> Effect:
        """Do step `order.step` of the plan, if all is still as planned. Safe to repeat with the same order."""

    def look(self, order: Order) -> Reality:
        """Read reality for step `order.step`. Touches nothing."""
