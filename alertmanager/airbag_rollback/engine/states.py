"""The life of an action, as a table one can point at."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from airbag.errors import AirbagError

Source = Literal["alert", "person", "drill"]
"""Who started an action. A person's order and a drill go the same way as an alert."""


class State(StrEnum):
    """Where an action stands. Each state says what is true, not what happens next."""

    RECEIVED = "RECEIVED"  # an alert names a bad version, or a person asks; nobody looked yet
    EVALUATING = "EVALUATING"  # it is being judged anew against Prometheus and the servers
    BLOCKED = "BLOCKED"  # not now: no verdict, a guard says no, or another action is busy; asked again
    AWAITING_APPROVAL = "AWAITING_APPROVAL"  # would go back, and waits for a person's word
    SUPPRESSED = "SUPPRESSED"  # nothing to do, with the reason
    PLANNED = "PLANNED"  # bad, and what to do is known to the last detail
    LEASED = "LEASED"  # the model is this action's alone, under the leader's fencing token
    ARMED = "ARMED"  # the intent is durable; nothing was touched yet
    EXECUTING = "EXECUTING"  # one step of the plan is touching
    UNKNOWN = "UNKNOWN"  # touched perhaps; reality has to be read
    VERIFY_MECHANISM = "VERIFY_MECHANISM"  # told; what was told still has to follow
    VERIFY_OUTCOME = "VERIFY_OUTCOME"  # the target serves; its signal still has to be good
    SUCCEEDED = "SUCCEEDED"  # the target serves and its signal is good
    INEFFECTIVE = "INEFFECTIVE"  # the target serves and is bad as well
    FAILED = "FAILED"  # it could not be done, and nothing was changed
    CANCELLED = "CANCELLED"  # a person said no before anything was touched
    NEEDS_HUMAN = "NEEDS_HUMAN"  # latched until a person clears it: the same bad release starts nothing more


S = State

TRANSITIONS: dict[State, frozenset[State]] = {
    S.RECEIVED: frozenset({S.EVALUATING, S.NEEDS_HUMAN, S.CANCELLED}),
    S.EVALUATING: frozenset({S.SUPPRESSED, S.BLOCKED, S.AWAITING_APPROVAL, S.PLANNED, S.NEEDS_HUMAN, S.CANCELLED}),
    S.BLOCKED: frozenset({S.EVALUATING, S.NEEDS_HUMAN, S.CANCELLED}),
    S.AWAITING_APPROVAL: frozenset({S.EVALUATING, S.NEEDS_HUMAN, S.CANCELLED}),
    S.PLANNED: frozenset({S.LEASED, S.BLOCKED, S.EVALUATING, S.NEEDS_HUMAN, S.CANCELLED}),
    S.LEASED: frozenset({S.ARMED, S.BLOCKED, S.EVALUATING, S.NEEDS_HUMAN, S.CANCELLED}),
    S.ARMED: frozenset({S.EXECUTING, S.UNKNOWN, S.NEEDS_HUMAN}),
    # Back to BLOCKED, and to an end without verification, only when the landing is sure that nothing was touched.
    S.EXECUTING: frozenset({S.VERIFY_MECHANISM, S.UNKNOWN, S.BLOCKED, S.SUPPRESSED, S.FAILED, S.NEEDS_HUMAN}),
    S.UNKNOWN: frozenset({S.EXECUTING, S.VERIFY_MECHANISM, S.NEEDS_HUMAN}),
    S.VERIFY_MECHANISM: frozenset({S.EXECUTING, S.VERIFY_OUTCOME, S.SUCCEEDED, S.UNKNOWN, S.NEEDS_HUMAN}),
    S.VERIFY_OUTCOME: frozenset({S.SUCCEEDED, S.INEFFECTIVE, S.UNKNOWN, S.NEEDS_HUMAN}),
    S.INEFFECTIVE: frozenset({S.PLANNED, S.NEEDS_HUMAN}),
    S.SUPPRESSED: frozenset(),
    S.SUCCEEDED: frozenset(),
    S.FAILED: frozenset(),
    S.CANCELLED: frozenset(),
    S.NEEDS_HUMAN: frozenset(),
}

ENDED = frozenset(state for state, following in TRANSITIONS.items() if not following)
"""Nothing follows these. A state that is not listed here is open."""

REOPENS = frozenset({S.SUPPRESSED, S.FAILED})
"""Ends after which a new delivery for the same release may start again: nothing was touched, nobody said no."""

TOUCHING = frozenset({S.LEASED, S.ARMED, S.EXECUTING, S.UNKNOWN, S.VERIFY_MECHANISM, S.VERIFY_OUTCOME, S.INEFFECTIVE})
"""An effect is under way, was or may be; one such action per model."""

MAY_HAVE_TOUCHED = TOUCHING - {S.LEASED, S.INEFFECTIVE}
"""What a restart finds here has to read reality first."""

CANCELLABLE = frozenset({S.RECEIVED, S.EVALUATING, S.BLOCKED, S.AWAITING_APPROVAL, S.PLANNED, S.LEASED})
"""Nothing was touched yet: a person may say no."""


class IllegalTransition(AirbagError):
    """A transition that the table does not list: a bug, never an input."""

    reason = "illegal_transition"


def check(before: State, after: State) -> None:
    """IllegalTransition unless the table allows it."""
    if after not in TRANSITIONS[before]:
        allowed = ", ".join(sorted(TRANSITIONS[before])) or "nothing"
        raise IllegalTransition(f"{before} cannot become {after}; after {before} comes {allowed}")


def after_restart(state: State) -> State:
    """Where an action that was open when the process ended goes on: never where it stood, once it may have touched."""
    if state in MAY_HAVE_TOUCHED:
        return S.UNKNOWN
    return S.EVALUATING if state in (S.RECEIVED, S.PLANNED, S.LEASED) else state
