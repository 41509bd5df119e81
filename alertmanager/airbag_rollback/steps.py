"""One step of an action per state. Each takes the action as it stands and returns it as it stands afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from airbag.clock import Clock
from airbag.serving.groups import ServingGroup
from airbag_rollback import actions
from airbag_rollback.actions import Effect, Result
from airbag_rollback.config import Settings
from airbag_rollback.engine.decide import Decision, Kind
from airbag_rollback.engine.states import State
from airbag_rollback.engine.verdict import Verdict
from airbag_rollback.journal import Journal, Overtaken
from airbag_rollback.judge import Judge
from airbag_rollback.look import Lookout, ModelView
from airbag_rollback.metrics import Metrics
from airbag_rollback.prometheus import Prometheus
from airbag_rollback.records import Action

_PAUSE = 5.0
"""Seconds before a server that did not confirm is told the same again: it may still be loading."""


@dataclass
class Steps:
    """What the worker does with an action, state by state.

    Nothing here sleeps. What may hang (a query, a reload) has its own limit of seconds.
    """

    settings: Callable[[], Settings]
    journal: Journal
    lookout: Lookout
    judge: Judge
    prometheus: Callable[[], Prometheus]
    clock: Clock
    metrics: Metrics
    _stable_since: dict[int, float] = field(default_factory=dict)
    _again_at: dict[int, float] = field(default_factory=dict)

    def step(self, action: Action) -> Action:
        """One step. Returns the same action when there is nothing to do yet.

        Raises JournalError when a transition cannot be written, Overtaken when somebody else moved the action.
        """
        group = self.settings().servings.group(action.serving)
        if group is None:
            text = f"exporters.yml no longer has the serving {action.serving}"
            return self._move(action, State.NEEDS_HUMAN, "serving_gone", text)
        steps: dict[State, Callable[[Action, ServingGroup], Action]] = {
            State.RECEIVED: self._received,
            State.EVALUATING: self._evaluate,
            State.BLOCKED: self._evaluate,
            State.PLANNED: self._arm,
            State.ARMED: self._execute,
            State.EXECUTING: self._unrecorded,
            State.UNKNOWN: self._read_reality,
            State.VERIFY_MECHANISM: self._verify_mechanism,
            State.VERIFY_OUTCOME: self._verify_outcome,
            State.INEFFECTIVE: self._ineffective,
        }
        return steps[action.state](action, group)

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

    def _received(self, action: Action, _group: ServingGroup) -> Action:
        return self._move(action, State.EVALUATING, "received", f"{action.alertname} calls {action.bad_version} bad")

    def _evaluate(self, action: Action, group: ServingGroup) -> Action:
        settings = self.settings()
        judged = self.judge.decide(action, group, settings.policy, self.prometheus())
        decision = judged.decision
        if decision.kind is Kind.WAIT and self.clock.now() < action.deadline:
            if action.state is State.BLOCKED:
                return self._wait(action, decision.reason, decision.text)
            return self._move(action, State.BLOCKED, decision.reason, decision.text, evidence=judged.evidence)
        if action.state is State.BLOCKED:  # the table knows no other way out but the escalation
            if decision.kind in (Kind.WAIT, Kind.PAGE):
                return self._decided(action, State.NEEDS_HUMAN, decision, judged.evidence)
            action = self._move(action, State.EVALUATING, decision.reason, "there is a verdict now")
        return self._follow(action, decision, judged.view, judged.evidence)

    def _follow(
        self, action: Action, decision: Decision, view: ModelView, evidence: tuple[dict[str, Any], ...]
    ) -> Action:
        if decision.kind is Kind.SUPPRESS:
            return self._decided(action, State.SUPPRESSED, decision, evidence)
        if decision.kind is Kind.PLAN:
            return self._decided(
                action, State.PLANNED, decision, evidence, expected=tuple(sorted(view.serves)),
                wanted_before=None if view.wanted is None else tuple(sorted(view.wanted)),
            )  # fmt: skip
        return self._decided(action, State.NEEDS_HUMAN, decision, evidence)

    def _decided(
        self, action: Action, to: State, decision: Decision, evidence: tuple[dict[str, Any], ...], **changes: Any
    ) -> Action:
        return self._move(
            action, to, decision.reason, decision.text, evidence=evidence, target_version=decision.target,
            decided_at=action.decided_at or self.clock.now(), **changes,
        )  # fmt: skip

    def _arm(self, action: Action, _group: ServingGroup) -> Action:
        """Make the intent durable. The time for the switch runs from the first time, however often it is tried."""
        armed_at = action.armed_at or self.clock.now()
        target = action.target_version
        assert target is not None  # noqa: S101 - a plan names its target
        text = f"going from {action.bad_version} back to {target}"
        try:
            return self._move(
                action, State.ARMED, "armed", text, armed_at=armed_at,
                deadline=armed_at + self.settings().policy.switch_within,
                window_clear_at=self.judge.window_clear_at(action, target),
            )  # fmt: skip
        except Overtaken as error:
            return self._move(action, State.BLOCKED, "busy", str(error))

    def _execute(self, action: Action, group: ServingGroup) -> Action:
        action = self._move(action, State.EXECUTING, "executing", action.text)
        return self._after(action, actions.switch(self.lookout, group, _plan(action)))

    def _after(self, action: Action, effect: Effect) -> Action:
        if effect.result is Result.DONE:
            return self._move(action, State.VERIFY_MECHANISM, effect.reason, effect.text, acted_at=self.clock.now())
        if effect.result is Result.RETRY and self.clock.now() < action.deadline:
            return self._move(action, State.BLOCKED, effect.reason, effect.text)
        if effect.result is Result.UNCLEAR:
            self._again_at[action.id] = self.clock.now() + _PAUSE
        to = {
            Result.SUPERSEDED: State.SUPPRESSED, Result.IMPOSSIBLE: State.NEEDS_HUMAN, Result.FAILED: State.FAILED,
            Result.UNCLEAR: State.UNKNOWN, Result.RETRY: State.NEEDS_HUMAN,
        }[effect.result]  # fmt: skip
        return self._move(action, to, effect.reason, effect.text)

    def _unrecorded(self, action: Action, _group: ServingGroup) -> Action:
        return self._move(action, State.UNKNOWN, "unrecorded", "what came of the touch was not written down")

    def _read_reality(self, action: Action, group: ServingGroup) -> Action:
        """Follow what is there: verify when the switch is done, do the same plan again when it is not.

        Somebody else's hand in between is a person's matter, since it is open what of ours was done.
        """
        view = self.lookout.look(group, action.model_name)
        assert action.target_version is not None  # noqa: S101 - a plan names its target
        if self.clock.now() >= action.deadline:
            return self._move(action, State.NEEDS_HUMAN, "switch_unverified", view.unreachable or action.text)
        if view.unreachable:
            return action
        meant = frozenset({action.target_version})
        before = None if action.wanted_before is None else frozenset(action.wanted_before)
        if view.wanted == meant and all(target.settled(action.target_version) for target in view.targets):
            text = f"{action.target_version} serves as planned"
            return self._move(
                action, State.VERIFY_MECHANISM, "found_done", text, acted_at=action.acted_at or self.clock.now()
            )
        if view.wanted not in (meant, before):
            text = f"models.config was changed by somebody else and names {sorted(view.wanted or ())}"
            return self._move(action, State.NEEDS_HUMAN, "changed_by_others", text)
        if self.clock.now() < self._again_at.get(action.id, 0.0):
            return action
        action = self._move(action, State.EXECUTING, "again", f"the same plan again: {action.text}")
        return self._again(action, actions.switch(self.lookout, group, _plan(action)))

    def _again(self, action: Action, effect: Effect) -> Action:
        """After a touch of unknown outcome, "not now" means that it stays unknown."""
        if effect.result is Result.RETRY:
            return self._move(action, State.UNKNOWN, effect.reason, effect.text)
        return self._after(action, effect)

    def _verify_mechanism(self, action: Action, group: ServingGroup) -> Action:
        view = self.lookout.look(group, action.model_name)
        target = action.target_version
        assert target is not None  # noqa: S101 - a plan names its target
        now = self.clock.now()
        if not all(each.settled(target) for each in view.targets):
            self._stable_since.pop(action.id, None)
            return self._wait(action, "waiting_for_switch", _unsettled(view, target), "switch_unverified")
        since = self._stable_since.setdefault(action.id, now)
        if now - since < self.settings().policy.stable_for:
            return self._wait(action, "waiting_for_switch", f"{target} serves; is it stable?", "switch_unverified")
        del self._stable_since[action.id]
        return self._move(
            action, State.VERIFY_OUTCOME, "switched", f"{target} serves alone and stable",
            available_at=action.available_at or since,
            deadline=now + self.settings().policy.recover_within,
        )  # fmt: skip

    def _verify_outcome(self, action: Action, _group: ServingGroup) -> Action:
        found = self.judge.recovery(action, self.prometheus())
        now = self.clock.now()
        evidence = action.evidence + found.evidence
        if found.verdict is Verdict.GOOD:
            text = f"went from {action.bad_version} back to {action.target_version}: {found.text}"
            return self._move(action, State.SUCCEEDED, "recovered", text, recovered_at=now, evidence=evidence)
        if found.verdict is Verdict.BAD and now >= action.deadline:
            return self._move(action, State.INEFFECTIVE, "ineffective", found.text, evidence=evidence)
        return self._wait(action, "waiting_for_recovery", found.text, "outcome_unverified")

    def _ineffective(self, action: Action, _group: ServingGroup) -> Action:
        text = f"went back to {action.target_version}, which is bad as well: {action.text}"
        return self._move(action, State.NEEDS_HUMAN, "ineffective", text)


def _plan(action: Action) -> actions.Plan:
    assert action.target_version is not None  # noqa: S101 - a plan names its target
    before = None if action.wanted_before is None else frozenset(action.wanted_before)
    target = action.target_version
    return actions.Plan(action.model_name, (target,), target, frozenset(action.expected), before)


def _unsettled(view: ModelView, target: int) -> str:
    """What keeps the switch from being done, with the server's own words where a load failed."""
    lines = []
    for each in view.targets:
        if each.error or each.settled(target):
            lines += [f"{each.name}: {each.error}"] if each.error else []
            continue
        states = ", ".join(f"{status.version} {status.state.name}" for status in each.versions) or "no versions"
        failure = each.failure(target)
        lines.append(f"{each.name}: {states}" + (f"; {target} failed: {failure}" if failure else ""))
    return "; ".join(lines)
