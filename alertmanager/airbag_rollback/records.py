"""What the journal holds, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from airbag_rollback.engine.states import Source, State
from airbag_rollback.engine.target import Candidate


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

    `rev` grows with every write and is what makes a write exclusive. `fence` is the fencing token of the leader that
    leased it. `expected` and `wanted_before` are the plan's precondition: what served and what the configuration named
    when it was made. `plan` is what the landing wants to remember, step by step. `tried` are the targets of earlier
    attempts. From `window_clear_at` on, the target's window holds only what it answered after the switch.
    With `effect` none (a drill) everything is done but the touch.
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
    source: Source = "alert"
    asked_by: str = ""
    asked_because: str = ""
    asked_target: int | None = None
    effect: Literal["real", "none"] = "real"
    landing: str = "serving-version"
    plan: dict[str, Any] = field(default_factory=dict)  # Any: the landing's own JSON
    step: int = 0
    steps: int = 1
    attempt: int = 1
    tried: tuple[int, ...] = ()
    fence: int = 0
    target_version: int | None = None
    expected: tuple[int, ...] = ()
    wanted_before: tuple[int, ...] | None = None
    blocked_until: float | None = None
    approved_by: str = ""
    approved_at: float | None = None
    cleared_by: str = ""
    cleared_at: float | None = None
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

    @property
    def suspect_version(self) -> int:
        """The version that is in question now: the one gone back to, once that turned out bad as well."""
        return self.tried[-1] if self.tried else self.bad_version

    def still_stands(self, epoch: int, wanted: frozenset[int] | None) -> bool:
        """Whether nobody has released or changed anything since: `epoch` and `wanted` are those of now.

        An action that touched nothing is over with the next epoch. One that touched made an epoch itself: it is over
        when the configuration names something else than what it wrote.
        """
        if self.armed_at is None and not self.tried:
            return epoch == self.epoch
        steps = self.plan.get("steps") or [{"versions": [self.target_version]}]
        return wanted is None or wanted in [frozenset(step["versions"]) for step in steps]

    @property
    def attempt_key(self) -> str:
        """A target is tried at most once per action: scripts get this to be idempotent by."""
        return f"{self.key}/{self.target_version}"

    @property
    def step_key(self) -> str:
        """One step of one attempt."""
        return f"{self.attempt_key}/{self.step}"


@dataclass(frozen=True)
class Event:
    """One transition, as the audit has it. `by` names a person where one caused it."""

    at: float
    before: str
    after: str
    reason: str
    text: str
    by: str = ""


@dataclass(frozen=True)
class Delivery:
    """A webhook body as it arrived."""

    id: int
    received_at: float
    body: bytes


@dataclass(frozen=True)
class Served:
    """What the ledger knows of one version. `last_until` is None while it serves or when it never did.

    `requests` is how many it answered while anybody counted, None when nobody could. `bad_at` and `good_at` are when
    it was last seen with and without a rollback alert, under traffic. `checksum` is that of its files when it served.
    """

    version: int
    soak: float
    rolled_back: bool
    last_until: float | None
    requests: float | None = None
    bad_at: float | None = None
    good_at: float | None = None
    checksum: str = ""

    @property
    def was_bad(self) -> bool:
        """Whether it was bad when it was last seen at work."""
        return self.bad_at is not None and self.bad_at >= (self.good_at or 0.0)

    @classmethod
    def never(cls, version: int) -> Served:
        """What is known of a version that never served."""
        return cls(version, 0.0, rolled_back=False, last_until=None)

    def candidate(self, present: bool | None, quarantined: str = "") -> Candidate:
        """The same as a version to go back to; `present` is what the model store says."""
        return Candidate(
            self.version, self.soak, self.rolled_back, present, self.requests, self.was_bad, quarantined
        )  # fmt: skip


def action_key(suspect: Suspect, epoch: int) -> str:
    """One effect per key: the same bad version of the same release, however often and by whom it is reported."""
    return f"{suspect.serving}/{suspect.model_name}/{epoch}/{suspect.version}"
