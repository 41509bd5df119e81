"""What the journal holds, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airbag_rollback.engine.states import State


@dataclass(frozen=True)
class Suspect:
    """A version that a firing alert calls bad. `alert_at` is the alert's own startsAt, seconds since the epoch."""

    serving: str
    model_name: str
    version: int
    alertname: str
    alert_at: float | None


@dataclass(frozen=True)
class Action:
    """One alert's way from delivery to outcome. Times are seconds since the epoch, None while not reached.

    `rev` grows with every write and is what makes a write exclusive. `expected` and `wanted_before` are the plan's
    precondition: what served and what the configuration named when it was made. From `window_clear_at` on,
    the target's window holds only what it answered after the switch.
    """

    id: int
    key: str
    serving: str
    model_name: str
    bad_version: int
    epoch: int
    alertname: str
    state: State
    rev: int
    deadline: float
    reason: str = ""
    text: str = ""
    target_version: int | None = None
    expected: tuple[int, ...] = ()
    wanted_before: tuple[int, ...] | None = None
    alert_at: float | None = None
    received_at: float | None = None
    decided_at: float | None = None
    armed_at: float | None = None
    acted_at: float | None = None
    available_at: float | None = None
    recovered_at: float | None = None
    ended_at: float | None = None
    window_clear_at: float | None = None
    evidence: tuple[dict[str, Any], ...] = ()  # Any: readings and verdicts as JSON


@dataclass(frozen=True)
class Event:
    """One transition, as it was written."""

    at: float
    before: str
    after: str
    reason: str
    text: str


@dataclass(frozen=True)
class Delivery:
    """A webhook body as it arrived."""

    id: int
    received_at: float
    body: bytes


@dataclass(frozen=True)
class Served:
    """What the ledger knows of one version. `last_until` is None while it serves or when it never did."""

    version: int
    soak: float
    rolled_back: bool
    last_until: float | None


def action_key(suspect: Suspect, epoch: int) -> str:
    """One effect per key: the same bad version of the same release, however often and by whom it is reported."""
    return f"{suspect.serving}/{suspect.model_name}/{epoch}/{suspect.version}"
