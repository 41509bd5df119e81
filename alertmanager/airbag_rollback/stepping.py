"""What every step of an action has at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from airbag.clock import Clock
from airbag.serving.groups import ServingGroup
from airbag_rollback.actions.choose import NoEffect, landing_of
from airbag_rollback.actions.landing import Landing, Order
from airbag_rollback.actions.leased import Leased
from airbag_rollback.actions.shadow import Shadow
from airbag_rollback.config import Settings
from airbag_rollback.engine.decide import Decision
from airbag_rollback.engine.states import State
from airbag_rollback.journal import Journal
from airbag_rollback.judge import Judge, Judged
from airbag_rollback.look import Lookout
from airbag_rollback.metrics import Metrics
from airbag_rollback.prometheus import Prometheus
from airbag_rollback.records import Action

PAUSE = 5.0
"""Seconds before somebody who did not confirm is told the same again: it may still be at it."""

_AGAIN = 1.0
"""Seconds between two judgements of an action that waits for a person or a guard."""


@dataclass
class Stepping:
    """The parts of the receiver that steps use, and how an action moves or waits. Nothing here sleeps."""

    settings: Callable[[], Settings]
    journal: Journal
    lookout: Lookout
    judge: Judge
    prometheus: Callable[[], Prometheus]
    clock: Clock
    metrics: Metrics
    _stable_since: dict[int, float] = field(default_factory=dict)
    _partly_since: dict[int, float] = field(default_factory=dict)
    _again_at: dict[int, float] = field(default_factory=dict)

    def forget(self) -> None:
        """At the begin of a term: what was seen in an earlier one is no proof of how things stand."""
        self._stable_since.clear()
        self._partly_since.clear()
        self._again_at.clear()

    # Any below: fields of Action.
    def _move(self, action: Action, to: State, reason: str, text: str, **changes: Any) -> Action:
        moved = self.journal.actions.move(action, to, self.clock.now(), reason, text, **changes)
        self.metrics.reached(action, moved)
        return moved

    def _wait(self, action: Action, reason: str, text: str, escalated: str = "") -> Action:
        """Stay, but not longer than the deadline: then a person is told."""
        if self.clock.now() >= action.deadline:
            return self._move(action, State.NEEDS_HUMAN, escalated or reason, text)
        if action.reason == reason:  # the numbers in the text change all the time
            return action
        return self.journal.actions.note(action, reason=reason, text=text)

    def _rests(self, action: Action) -> bool:
        """Whether it is too early to look again."""
        now = self.clock.now()
        return now < self._again_at.get(action.id, 0.0) and now < action.deadline and not action.approved_by

    def _rest(self, action: Action) -> None:
        self._again_at[action.id] = self.clock.now() + _AGAIN

    def _decided(
        self, action: Action, to: State, decision: Decision, evidence: tuple[dict[str, Any], ...], **changes: Any
    ) -> Action:
        return self._move(
            action, to, decision.reason, decision.text, evidence=evidence, target_version=decision.target,
            decided_at=action.decided_at or self.clock.now(), **changes,
        )  # fmt: skip

    def _landing(self, action: Action, group: ServingGroup) -> Landing:
        """The action's landing; for a drill one that touches nothing."""
        policy = self.settings().policy
        label = policy.rule(action.serving, action.model_name, action.alertname).label
        found = landing_of(action.landing, label, policy, group, self.lookout)
        if action.source != "drill":
            return found
        meant = NoEffect(found) if action.effect == "none" else Shadow(found, self.lookout, group)
        return Leased(meant, self.journal.lease.ensure)


def meant(action: Action, judged: Judged) -> Action:
    """The action with what was decided and the precondition under which it holds."""
    view = judged.view
    return replace(
        action, landing=judged.rule.landing, step=0, target_version=judged.decision.target,
        expected=tuple(sorted(view.serves)),
        wanted_before=None if view.wanted is None else tuple(sorted(view.wanted)),
    )  # fmt: skip


def order(action: Action) -> Order:
    before = None if action.wanted_before is None else frozenset(action.wanted_before)
    return Order(
        action.id, action.step_key, action.serving, action.model_name, action.bad_version, action.target_version,
        action.alertname, action.fence, frozenset(action.expected), before, action.step, action.plan,
        frozenset(action.tried),
    )  # fmt: skip
