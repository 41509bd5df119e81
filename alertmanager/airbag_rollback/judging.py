"""The steps up to a plan: is it so, may it be done, and how."""

from __future__ import annotations

from dataclasses import replace

from airbag.serving.groups import ServingGroup
from airbag_rollback.actions.landing import Effect, Planned, Result
from airbag_rollback.engine.decide import STOPPED, Kind
from airbag_rollback.engine.states import State
from airbag_rollback.judge import Judged
from airbag_rollback.records import Action
from airbag_rollback.stepping import Stepping, meant, order


class Judging(Stepping):
    """From RECEIVED to PLANNED, and from INEFFECTIVE one version further back."""

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
        aim = meant(action, judged)
        planned = self._landing(aim, group).plan(order(aim))
        if isinstance(planned, Effect):
            to = {Result.SUPERSEDED: State.SUPPRESSED, Result.RETRY: State.BLOCKED}.get(
                planned.result, State.NEEDS_HUMAN
            )
            return self._move(action, to, planned.reason, planned.text, evidence=judged.evidence)
        return self._decided(
            action, State.PLANNED, judged.decision, judged.evidence, expected=aim.expected,
            wanted_before=aim.wanted_before, landing=aim.landing, plan=planned.document, step=0,
            steps=planned.steps, blocked_until=None,
        )  # fmt: skip

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
        aim = meant(further, judged)
        planned = self._landing(aim, group).plan(order(aim))
        if not isinstance(planned, Planned):
            return self._move(action, State.NEEDS_HUMAN, "ineffective", f"{text}; not further: {planned.text}")
        return self._move(
            action, State.PLANNED, "escalated", f"{text}; going further back to {decision.target}",
            tried=aim.tried, attempt=aim.attempt, target_version=aim.target_version, expected=aim.expected,
            wanted_before=aim.wanted_before, plan=planned.document, step=0, steps=planned.steps, armed_at=None,
            acted_at=None, available_at=None, evidence=action.evidence + judged.evidence,
        )  # fmt: skip
