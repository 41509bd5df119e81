"""One step of an action per state. Each takes the action as it stands and returns it as it stands afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from airbag.clock import Clock
from airbag.serving.groups import ServingGroup
from airbag_rollback import drill
from airbag_rollback.actions.choose import NoEffect, UnknownLanding, landing_of
from airbag_rollback.actions.landing import Effect, Found, Landing, Order, Planned, Result
from airbag_rollback.actions.leased import Leased
from airbag_rollback.actions.shadow import Shadow
from airbag_rollback.config import Settings
from airbag_rollback.engine.decide import STOPPED, Decision, Kind
from airbag_rollback.engine.guards import exhausted
from airbag_rollback.engine.states import State
from airbag_rollback.engine.verdict import Verdict
from airbag_rollback.journal import Journal, Overtaken
from airbag_rollback.judge import Judge, Judged
from airbag_rollback.look import Lookout
from airbag_rollback.metrics import Metrics
from airbag_rollback.prometheus import Prometheus
from airbag_rollback.records import Action

_PAUSE = 5.0
"""Seconds before somebody who did not confirm is told the same again: it may still be at it."""

_AGAIN = 1.0
"""Seconds between two judgements of an action that waits for a person or a guard."""


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
    _partly_since: dict[int, float] = field(default_factory=dict)
    _again_at: dict[int, float] = field(default_factory=dict)

    def forget(self) -> None:
        """At the begin of a term: what was seen in an earlier one is no proof of how things stand."""
        self._stable_since.clear()
        self._again_at.clear()

    def step(self, action: Action) -> Action:
        """One step. Returns the same action when there is nothing to do yet.

        Raises JournalError when a transition cannot be written, Overtaken when somebody else moved the action.
        """
        if drill.awaits_its_alert(action):
            return self._wait(action, "waiting_for_alert", "its own alert has not come back yet", "alert_lost")
        group = self.settings().servings.group(action.serving)
        if group is None:
            text = f"exporters.yml no longer has the serving {action.serving}"
            return self._end_early(action, "serving_gone", text)
        steps: dict[State, Callable[[Action, ServingGroup], Action]] = {
            State.RECEIVED: self._received,
            State.EVALUATING: self._evaluate,
            State.BLOCKED: self._evaluate,
            State.AWAITING_APPROVAL: self._await,
            State.PLANNED: self._lease,
            State.LEASED: self._arm,
            State.ARMED: self._execute,
            State.EXECUTING: self._unrecorded,
            State.UNKNOWN: self._read_reality,
            State.VERIFY_MECHANISM: self._verify_mechanism,
            State.VERIFY_OUTCOME: self._verify_outcome,
            State.INEFFECTIVE: self._ineffective,
        }
        try:
            return steps[action.state](action, group)
        except UnknownLanding as error:
            return self._end_early(action, "landing_gone", f"policy.yml has no landing {error.args[0]} any more")

    def _end_early(self, action: Action, reason: str, text: str) -> Action:
        return self._move(action, State.NEEDS_HUMAN, reason, text)

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
        asked = f"{action.alertname} calls {action.bad_version} bad"
        if action.source != "alert":
            asked = f"{action.asked_by} asks for it" + (f": {action.asked_because}" if action.asked_because else "")
        return self._move(action, State.EVALUATING, "received", asked)

    def _evaluate(self, action: Action, group: ServingGroup) -> Action:
        if action.tried:
            return self._further(action, action, group, f"the receiver ended while going back from {action.tried[-1]}")
        if action.state is State.BLOCKED and self._rests(action):
            return action
        if action.blocked_until is not None:  # a guard does not change its mind four times a second
            self._rest(action)
        judged = self.judge.decide(action, group, self.prometheus())
        decision = judged.decision
        if decision.kind in (Kind.WAIT, Kind.HOLD):
            return self._blocked(action, judged)
        if action.state is State.BLOCKED:  # the table knows no other way out but the escalation
            if decision.kind is Kind.PAGE:
                return self._decided(action, State.NEEDS_HUMAN, decision, judged.evidence)
            action = self._move(action, State.EVALUATING, decision.reason, "there is a verdict now")
        return self._follow(action, group, judged)

    def _blocked(self, action: Action, judged: Judged) -> Action:
        """Not now. A verdict is waited for briefly, a guard for long; at the end of either a person is told."""
        decision, policy, now = judged.decision, self.settings().policy, self.clock.now()
        begins = decision.kind is Kind.HOLD and action.blocked_until is None
        ends = decision.kind is Kind.WAIT and action.blocked_until is not None
        limit = policy.blocked_within if begins else policy.decide_within
        deadline = now + limit if begins or ends else action.deadline
        if now >= deadline:
            if decision.reason == STOPPED:  # what is over by itself needs nobody
                return self._over(action, judged)
            return self._decided(action, State.NEEDS_HUMAN, decision, judged.evidence)
        until = (decision.until or deadline) if decision.kind is Kind.HOLD else None
        same = (action.state, action.reason, action.blocked_until) == (State.BLOCKED, decision.reason, until)
        if same:
            return action
        changes = {"deadline": deadline, "blocked_until": until, "target_version": decision.target}
        if action.state is State.BLOCKED and not (begins or ends):
            return self.journal.actions.note(action, reason=decision.reason, text=decision.text, **changes)
        if action.state is State.BLOCKED:
            action = self._move(action, State.EVALUATING, decision.reason, "the reason to wait is another one now")
        return self._move(
            action, State.BLOCKED, decision.reason, decision.text, evidence=judged.evidence, **changes
        )  # fmt: skip

    def _over(self, action: Action, judged: Judged) -> Action:
        if action.state is State.BLOCKED:
            action = self._move(action, State.EVALUATING, judged.decision.reason, "it did not come back")
        return self._decided(action, State.SUPPRESSED, judged.decision, judged.evidence)

    def _rests(self, action: Action) -> bool:
        """Whether it is too early to look again."""
        now = self.clock.now()
        return now < self._again_at.get(action.id, 0.0) and now < action.deadline and not action.approved_by

    def _rest(self, action: Action) -> None:
        self._again_at[action.id] = self.clock.now() + _AGAIN

    def _await(self, action: Action, group: ServingGroup) -> Action:
        """Wait for a person's word, and keep judging: what passes needs no approval any more."""
        if action.approved_by:
            deadline = self.clock.now() + self.settings().policy.decide_within
            text = f"approved by {action.approved_by}"
            return self._move(action, State.EVALUATING, "approved", text, deadline=deadline)
        if self.clock.now() >= action.deadline:
            return self._move(action, State.NEEDS_HUMAN, "approval_expired", f"nobody answered; {action.text}")
        if self._rests(action):
            return action
        self._rest(action)
        decision = self.judge.decide(action, group, self.prometheus()).decision
        if decision.kind in (Kind.ASK, Kind.WAIT):
            return action
        return self._move(action, State.EVALUATING, decision.reason, decision.text)

    def _follow(self, action: Action, group: ServingGroup, judged: Judged) -> Action:
        decision = judged.decision
        if decision.kind is Kind.SUPPRESS:
            return self._decided(action, State.SUPPRESSED, decision, judged.evidence)
        if decision.kind is Kind.ASK:
            deadline = self.clock.now() + self.settings().policy.approve_within
            return self._decided(action, State.AWAITING_APPROVAL, decision, judged.evidence, deadline=deadline)
        if decision.kind is Kind.PLAN:
            return self._plan(action, group, judged)
        return self._decided(action, State.NEEDS_HUMAN, decision, judged.evidence)

    def _plan(self, action: Action, group: ServingGroup, judged: Judged) -> Action:
        """Plan to the last detail, by the landing that the policy names."""
        meant = _meant(action, judged)
        planned = self._landing(meant, group).plan(_order(meant))
        if isinstance(planned, Effect):
            to = {Result.SUPERSEDED: State.SUPPRESSED, Result.RETRY: State.BLOCKED}.get(
                planned.result, State.NEEDS_HUMAN
            )
            return self._move(action, to, planned.reason, planned.text, evidence=judged.evidence)
        return self._decided(
            action, State.PLANNED, judged.decision, judged.evidence, expected=meant.expected,
            wanted_before=meant.wanted_before, landing=meant.landing, plan=planned.document, step=0,
            steps=planned.steps, blocked_until=None,
        )  # fmt: skip

    def _decided(
        self, action: Action, to: State, decision: Decision, evidence: tuple[dict[str, Any], ...], **changes: Any
    ) -> Action:
        return self._move(
            action, to, decision.reason, decision.text, evidence=evidence, target_version=decision.target,
            decided_at=action.decided_at or self.clock.now(), **changes,
        )  # fmt: skip

    def _lease(self, action: Action, _group: ServingGroup) -> Action:
        """Take the model for this action alone, under the leader's fencing token."""
        try:
            return self._move(action, State.LEASED, "leased", action.text, fence=self.journal.database.fence)
        except Overtaken as error:
            to = State.NEEDS_HUMAN if action.tried else State.BLOCKED
            return self._move(action, to, "busy", str(error))

    def _arm(self, action: Action, _group: ServingGroup) -> Action:
        """Make the intent durable. The time for the switch runs from the first time, however often it is tried.

        Limits are counted once more, in the transaction that uses them up: two models may be judged at the same moment.
        """
        policy, now = self.settings().policy, self.clock.now()
        with self.journal.database.write("arming"):
            if action.source == "alert" and not action.approved_by and not action.tried:
                spent = exhausted(now, policy.guards.limits, self.journal.actions.past(action))
                if spent is not None:
                    deadline = now + policy.blocked_within
                    return self._move(
                        action, State.BLOCKED, spent.reason, spent.text, blocked_until=spent.until or deadline,
                        deadline=deadline,
                    )  # fmt: skip
            armed_at = action.armed_at or now
            text, clear = f"acting on {action.bad_version}", None
            if action.target_version is not None:
                text = f"going from {action.bad_version} back to {action.target_version}"
                clear = self.judge.window_clear_at(action, action.target_version)
            limit = policy.switch_within + policy.longest_step(action.landing)
            return self._move(
                action, State.ARMED, "armed", text, armed_at=armed_at, deadline=armed_at + limit, window_clear_at=clear
            )

    def _execute(self, action: Action, group: ServingGroup) -> Action:
        action = self._move(action, State.EXECUTING, "executing", action.text)
        return self._after(action, self._landing(action, group).apply(_order(action)))

    def _after(self, action: Action, effect: Effect) -> Action:
        if effect.result is Result.DONE:
            return self._move(action, State.VERIFY_MECHANISM, effect.reason, effect.text, acted_at=self.clock.now())
        if (action.step or action.tried) and effect.result is not Result.UNCLEAR:  # something was touched before
            to = State.UNKNOWN if action.step or effect.result is Result.RETRY else State.NEEDS_HUMAN
            return self._move(action, to, effect.reason, effect.text)
        if effect.result is Result.RETRY and self.clock.now() < action.deadline:
            self._rest(action)
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
        """Follow what is there: verify when the step is done, do it again when it is not.

        Somebody else's hand in between is a person's matter, since it is open what of ours was done.
        """
        landing = self._landing(action, group)
        real = landing.look(_order(action))
        if self.clock.now() >= action.deadline:
            return self._move(action, State.NEEDS_HUMAN, "switch_unverified", f"{action.text}; {real.text}")
        if real.found is Found.DONE:
            acted = action.acted_at or self.clock.now()
            return self._move(
                action, State.VERIFY_MECHANISM, "found_done", f"done as planned: {real.text}", acted_at=acted
            )
        if real.found is Found.OTHER:
            return self._move(action, State.NEEDS_HUMAN, "changed_by_others", real.text)
        if real.found in (Found.UNSEEN, Found.MOVING) or self.clock.now() < self._again_at.get(action.id, 0.0):
            return action
        action = self._move(action, State.EXECUTING, "again", f"the same step again: {action.text}")
        return self._again(action, landing.apply(_order(action)))

    def _again(self, action: Action, effect: Effect) -> Action:
        """After a touch of unknown outcome, "not now" means that it stays unknown."""
        if effect.result is Result.RETRY:
            return self._move(action, State.UNKNOWN, effect.reason, effect.text)
        return self._after(action, effect)

    def _verify_mechanism(self, action: Action, group: ServingGroup) -> Action:
        """Wait until reality is as planned and stays so; then the next step, or the outcome."""
        real = self._landing(action, group).look(_order(action))
        now = self.clock.now()
        if real.found is not Found.DONE:
            self._stable_since.pop(action.id, None)
            if real.found is not Found.PARTLY:
                self._partly_since.pop(action.id, None)
            elif now - self._partly_since.setdefault(action.id, now) >= _PAUSE and now < action.deadline:
                del self._partly_since[action.id]
                return self._move(action, State.UNKNOWN, "not_followed", real.text)
            return self._wait(action, "waiting_for_switch", real.text, "switch_unverified")
        since = self._stable_since.setdefault(action.id, now)
        last = action.step + 1 >= action.steps
        if last and now - since < self.settings().policy.stable_for:
            return self._wait(action, "waiting_for_switch", f"{real.text}; is it stable?", "switch_unverified")
        del self._stable_since[action.id]
        if not last:
            action = self._move(action, State.EXECUTING, "next_step", real.text, step=action.step + 1)
            return self._after(action, self._landing(action, group).apply(_order(action)))
        changes = {
            "available_at": action.available_at or since,
            "deadline": now + self.settings().policy.recover_within,
        }
        if action.source == "drill" or action.target_version is None:
            return self._move(action, State.SUCCEEDED, "done", real.text, recovered_at=now, **changes)
        return self._move(action, State.VERIFY_OUTCOME, "switched", f"{real.text}, stable", **changes)

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

    def _ineffective(self, action: Action, group: ServingGroup) -> Action:
        """Go one version further back, as often as the policy allows; then a person is called."""
        rule = self.settings().policy.rule(action.serving, action.model_name, action.alertname)
        assert action.target_version is not None  # noqa: S101 - only what restores is measured
        text = f"went back to {action.target_version}, which is bad as well: {action.text}"
        further = replace(action, tried=(*action.tried, action.target_version), attempt=action.attempt + 1)
        if action.source != "alert" or further.attempt > rule.attempts_max:
            return self._move(action, State.NEEDS_HUMAN, "ineffective", text)
        return self._further(action, further, group, text)

    def _further(self, action: Action, further: Action, group: ServingGroup, text: str) -> Action:
        """Plan the next attempt; whatever stands against it calls a person, since something was touched already."""
        judged = self.judge.decide(further, group, self.prometheus())
        decision = judged.decision
        if decision.kind is not Kind.PLAN:
            return self._move(action, State.NEEDS_HUMAN, "ineffective", f"{text}; not further: {decision.text}")
        meant = _meant(further, judged)
        planned = self._landing(meant, group).plan(_order(meant))
        if not isinstance(planned, Planned):
            return self._move(action, State.NEEDS_HUMAN, "ineffective", f"{text}; not further: {planned.text}")
        return self._move(
            action, State.PLANNED, "escalated", f"{text}; going further back to {decision.target}",
            tried=meant.tried, attempt=meant.attempt, target_version=meant.target_version, expected=meant.expected,
            wanted_before=meant.wanted_before, plan=planned.document, step=0, steps=planned.steps, armed_at=None,
            acted_at=None, available_at=None, evidence=action.evidence + judged.evidence,
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


def _meant(action: Action, judged: Judged) -> Action:
    """The action with what was decided and the precondition under which it holds."""
    view = judged.view
    return replace(
        action, landing=judged.rule.landing, step=0, target_version=judged.decision.target,
        expected=tuple(sorted(view.serves)),
        wanted_before=None if view.wanted is None else tuple(sorted(view.wanted)),
    )  # fmt: skip


def _order(action: Action) -> Order:
    before = None if action.wanted_before is None else frozenset(action.wanted_before)
    return Order(
        action.id, action.step_key, action.serving, action.model_name, action.bad_version, action.target_version,
        action.alertname, action.fence, frozenset(action.expected), before, action.step, action.plan,
        frozenset(action.tried),
    )  # fmt: skip
