"""The steps from a plan to its proof: lease, arm, touch, read reality, measure."""

from __future__ import annotations

from airbag.serving.groups import ServingGroup
from airbag_rollback.actions.landing import Effect, Found, Result
from airbag_rollback.engine.guards import exhausted
from airbag_rollback.engine.states import State
from airbag_rollback.engine.verdict import Verdict
from airbag_rollback.journal import Overtaken
from airbag_rollback.records import Action
from airbag_rollback.stepping import PAUSE, Stepping, order


class Acting(Stepping):
    """From PLANNED to SUCCEEDED, INEFFECTIVE or a person."""

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
        return self._after(action, self._landing(action, group).apply(order(action)))

    def _after(self, action: Action, effect: Effect) -> Action:
        if effect.result is Result.DONE:
            return self._move(action, State.VERIFY_MECHANISM, effect.reason, effect.text, acted_at=self.clock.now())
        if (action.step or action.tried) and effect.result is not Result.UNCLEAR:  # something was touched before
            to = State.UNKNOWN if action.step or effect.result is Result.RETRY else State.NEEDS_HUMAN
            self._rest(action)
            return self._move(action, to, effect.reason, effect.text)
        if effect.result is Result.RETRY and self.clock.now() < action.deadline:
            self._rest(action)
            return self._move(action, State.BLOCKED, effect.reason, effect.text)
        if effect.result is Result.UNCLEAR:
            self._again_at[action.id] = self.clock.now() + PAUSE
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
        real = landing.look(order(action))
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
        return self._again(action, landing.apply(order(action)))

    def _again(self, action: Action, effect: Effect) -> Action:
        """After a touch of unknown outcome, "not now" means that it stays unknown."""
        if effect.result is Result.RETRY:
            return self._move(action, State.UNKNOWN, effect.reason, effect.text)
        return self._after(action, effect)

    def _verify_mechanism(self, action: Action, group: ServingGroup) -> Action:
        """Wait until reality is as planned and stays so; then the next step, or the outcome."""
        real = self._landing(action, group).look(order(action))
        now = self.clock.now()
        if real.found is not Found.DONE:
            self._stable_since.pop(action.id, None)
            if real.found is not Found.PARTLY:
                self._partly_since.pop(action.id, None)
            elif now - self._partly_since.setdefault(action.id, now) >= PAUSE and now < action.deadline:
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
            return self._after(action, self._landing(action, group).apply(order(action)))
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
