"""The life of an action, as a table one can point at."""

from __future__ import annotations

from enum import StrEnum

from airbag.errors import AirbagError


class State(StrEnum):
    """Where an action stands. Each state says what is true, not what happens next."""

    RECEIVED = "RECEIVED"  # an alert names a bad version; nobody looked yet
    EVALUATING = "EVALUATING"  # the alert is being judged anew against Prometheus and the servers
    BLOCKED = "BLOCKED"  # not now: no verdict, or another action is busy; asked again until the deadline
    SUPPRESSED = "SUPPRESSED"  # nothing to do, with the reason
    PLANNED = "PLANNED"  # bad, and a version to go back to is known
    ARMED = "ARMED"  # the intent is durable; nothing was touched yet
    EXECUTING = "EXECUTING"  # the servers are being touched
    UNKNOWN = "UNKNOWN"  # touched perhaps; reality has to be read
    VERIFY_MECHANISM = "VERIFY_MECHANISM"  # told; the servers still have to follow
    VERIFY_OUTCOME = "VERIFY_OUTCOME"  # the target serves; its signal still has to be good
    SUCCEEDED = "SUCCEEDED"  # the target serves and its signal is good
    INEFFECTIVE = "INEFFECTIVE"  # the target serves and is bad as well
    FAILED = "FAILED"  # it could not be done, and nothing was changed
    NEEDS_HUMAN = "NEEDS_HUMAN"  # latched: the same bad release starts nothing more


S = State

TRANSITIONS: dict[State, frozenset[State]] = {
    S.RECEIVED: frozenset({S.EVALUATING, S.NEEDS_HUMAN}),
    S.EVALUATING: frozenset({S.SUPPRESSED, S.BLOCKED, S.PLANNED, S.NEEDS_HUMAN}),
    S.BLOCKED: frozenset({S.EVALUATING, S.NEEDS_HUMAN}),
    S.PLANNED: frozenset({S.ARMED, S.BLOCKED, S.EVALUATING, S.NEEDS_HUMAN}),
    S.ARMED: frozenset({S.EXECUTING, S.UNKNOWN, S.NEEDS_HUMAN}),
    # Back to BLOCKED, and to an end without verification, only when the actuator is sure that nothing was touched.
    S.EXECUTING: frozenset({S.VERIFY_MECHANISM, S.UNKNOWN, S.BLOCKED, S.SUPPRESSED, S.FAILED, S.NEEDS_HUMAN}),
    S.UNKNOWN: frozenset({S.EXECUTING, S.VERIFY_MECHANISM, S.NEEDS_HUMAN}),
    S.VERIFY_MECHANISM: frozenset({S.VERIFY_OUTCOME, S.UNKNOWN, S.NEEDS_HUMAN}),
    S.VERIFY_OUTCOME: frozenset({S.SUCCEEDED, S.INEFFECTIVE, S.UNKNOWN, S.NEEDS_HUMAN}),
    S.INEFFECTIVE: frozenset({S.NEEDS_HUMAN}),
    S.SUPPRESSED: frozenset(),
    S.SUCCEEDED: frozenset(),
    S.FAILED: frozenset(),
    S.NEEDS_HUMAN: frozenset(),
}

ENDED = frozenset(state for state, following in TRANSITIONS.items() if not following)
"""Nothing follows these."""

REOPENS = frozenset({S.SUPPRESSED, S.FAILED})
"""Ends after which a new delivery for the same release may start again: nothing was touched."""

TOUCHING = frozenset({S.ARMED, S.EXECUTING, S.UNKNOWN, S.VERIFY_MECHANISM, S.VERIFY_OUTCOME})
"""An effect is under way or may be; one such action per model."""


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
    return S.UNKNOWN if state in TOUCHING else S.EVALUATING if state in (S.RECEIVED, S.PLANNED) else state
