"""One step of an action per state. Each takes the action as it stands and returns it as it stands afterwards."""

from __future__ import annotations

from collections.abc import Callable

from airbag.serving.groups import ServingGroup
from airbag_rollback import drill
from airbag_rollback.acting import Acting
from airbag_rollback.actions.choose import UnknownLanding
from airbag_rollback.engine.states import State
from airbag_rollback.judging import Judging
from airbag_rollback.records import Action


class Steps(Judging, Acting):
    """What the worker does with an action, state by state.

    Nothing here sleeps. What may hang (a query, a reload) has its own limit of seconds.
    """

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
