"""What people may ask for, whichever door they come through: the command line, the API or the page.

Each order is one transaction with its audit record, made under the name of who asked. The worker does the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from airbag.clock import Clock
from airbag.errors import AirbagError
from airbag.serving.groups import ServingGroup
from airbag_rollback import drill
from airbag_rollback.config import Settings
from airbag_rollback.engine.states import CANCELLABLE, ENDED, REOPENS, State
from airbag_rollback.journal import Journal
from airbag_rollback.journal.pauses import ALL, Pause
from airbag_rollback.look import Lookout, ModelView
from airbag_rollback.records import Action


class NotThere(AirbagError):
    """What the order speaks of does not exist."""

    reason = "not_there"


class NotNow(AirbagError):
    """The order makes no sense as things stand; the message says how they stand."""

    reason = "not_now"


class People:
    """Takes orders. `by` is the name of who asks, as the access rules know it; `because` goes into the audit."""

    def __init__(
        self, settings: Callable[[], Settings], journal: Journal, lookout: Lookout, clock: Clock,
        wake: Callable[[], None],
    ) -> None:  # fmt: skip
        self._settings = settings
        self._journal = journal
        self._lookout = lookout
        self._clock = clock
        self._wake = wake

    def approve(self, action_id: int, by: str, because: str = "") -> Action:
        """Let an action go on that waits for a person's word, or that a guard holds back. NotThere, NotNow."""
        action = self._action(action_id)
        if action.state not in (State.AWAITING_APPROVAL, State.BLOCKED):
            raise NotNow(f"action {action_id} is {action.state} and does not wait for anybody's word")
        if action.approved_by:
            raise NotNow(f"action {action_id} was approved by {action.approved_by} already")
        now = self._clock.now()
        with self._journal.database.write("approve"):
            approved = self._journal.actions.note(action, approved_by=by, approved_at=now)
            fields = {"by": by, "because": because, "action_id": action_id}
            self._journal.audit.append("approved", fields, now, action_id)
        self._wake()
        return approved

    def reject(self, action_id: int, by: str, because: str = "") -> Action:
        """Say no to an action that has touched nothing yet; its release is then left alone. NotThere, NotNow."""
        action = self._action(action_id)
        if action.state not in CANCELLABLE:
            how = "has ended" if action.state in ENDED else "is under way and cannot be stopped half done"
            raise NotNow(f"action {action_id} is {action.state}: it {how}")
        text = f"{by} said no" + (f": {because}" if because else "")
        return self._journal.actions.move(action, State.CANCELLED, self._clock.now(), "rejected", text, by=by)

    def clear(self, action_id: int, by: str) -> Action:
        """Let the release of an ended action be acted on again. NotThere, NotNow."""
        action = self._action(action_id)
        if action.state not in ENDED - REOPENS or action.cleared_at is not None:
            raise NotNow(f"action {action_id} is {action.state} and holds nothing that could be cleared")
        return self._journal.actions.clear(action, by, self._clock.now())

    def roll_back(self, serving: str | None, model: str, to: int | None, by: str, because: str = "") -> Action:
        """Order a rollback of what serves now, to version `to` or to the one that Airbag would choose.

        It goes the way of every action: planned, armed, verified. No verdict is asked for; what cannot be served is
        refused all the same. NotThere, NotNow.
        """
        group = self._group(serving, model)
        _view, suspect = self._serves(group, model)
        return self._order(group, model, suspect, "person", by, because, to)

    def drill(
        self, serving: str | None, model: str, by: str, because: str = "", *, shadow: bool = False
    ) -> Action:  # fmt: skip
        """Order a rollback that touches nothing, or on the shadow model one that is undone. NotThere, NotNow.

        It begins when its own alert, which is posted with the order, has come back by the webhook.
        """
        group = self._group(serving, model)
        view, suspect = self._serves(group, model)
        target = drill.shadow_target(self._settings().policy, group, model, view) if shadow else None
        if isinstance(target, str):
            raise NotNow(target)
        return self._order(group, model, suspect, "drill", by, because, target, real=shadow)

    def pause(self, serving: str, model: str, seconds: float | None, by: str, because: str) -> Pause:
        """Nothing is rolled back by itself on what is named (`*` for all), for so long or until it is resumed."""
        self._known(serving, model)
        now = self._clock.now()
        pause = Pause(serving, model, now, None if seconds is None else now + seconds, by, because)
        self._journal.pauses.begin(pause)
        return pause

    def resume(self, serving: str, model: str, by: str) -> None:
        """End the pause of exactly what is named. NotNow when there is none."""
        if not self._journal.pauses.end(serving, model, by, self._clock.now()):
            raise NotNow(f"{serving}/{model} is not paused")
        self._wake()

    def quarantine(self, serving: str, model: str, version: int, by: str, because: str) -> None:
        """Nobody goes back to this version any more. NotThere for a model that is not known."""
        self._known(serving, model)
        self._journal.quarantine.put(serving, model, version, by, because, self._clock.now())

    def lift_quarantine(self, serving: str, model: str, version: int, by: str) -> None:
        """Undo that. NotNow when it is not quarantined."""
        if not self._journal.quarantine.lift(serving, model, version, by, self._clock.now()):
            raise NotNow(f"version {version} of {serving}/{model} is not quarantined")

    def _serves(self, group: ServingGroup, model: str) -> tuple[ModelView, int]:
        """What is there, and the version that answers: behind the label where the landing moves labels. NotNow."""
        view = self._lookout.look(group, model)
        rule = self._settings().policy.rule(group.name, model, "AirbagOrder")
        behind = view.behind(rule.label or "stable") if rule.landing == "serving-label" else frozenset()
        if not behind | view.serves:
            raise NotNow(f"nothing serves {model} on {group.name}: {view.unreachable or 'no version is up'}")
        return view, max(behind or view.serves)

    def _order(
        self, group: ServingGroup, model: str, suspect: int, source: str, by: str, because: str, to: int | None,
        *, real: bool = True,
    ) -> Action:  # fmt: skip
        now = self._clock.now()
        deadline = now + self._settings().policy.decide_within
        name = "AirbagDrill" if source == "drill" else "AirbagOrder"
        action = Action(0, "", group.name, model, suspect, 0, name, State.RECEIVED, 1, deadline, received_at=now)
        action = replace(
            action, source="drill" if source == "drill" else "person", asked_by=by, asked_because=because,
            asked_target=to, effect="real" if real else "none",
        )  # fmt: skip
        with self._journal.database.write("order"):
            taken, new = self._journal.actions.order(action, now)
            if new and taken.source == "drill":
                self._journal.outbox.put(taken.id, drill.alert(taken, now), now)
        if not new:
            raise NotNow(f"action {taken.id}, which is {taken.state}, already answers for this release")
        self._wake()
        return taken

    def _action(self, action_id: int) -> Action:
        action = self._journal.actions.get(action_id)
        if action is None:
            raise NotThere(f"there is no action {action_id}")
        return action

    def _group(self, serving: str | None, model: str) -> ServingGroup:
        groups = self._settings().servings.servings
        found = [each for each in groups if each.model(model) and serving in (None, each.name)]
        if len(found) == 1:
            return found[0]
        there = ", ".join(f"{each.name}/{entry.name}" for each in groups for entry in each.models)
        if found:
            raise NotNow(f"{model} is on several servings; name one of {', '.join(each.name for each in found)}")
        raise NotThere(f"exporters.yml has no model {serving or '*'}/{model}; there: {there}")

    def _known(self, serving: str, model: str) -> None:
        groups = [each for each in self._settings().servings.servings if serving in (ALL, each.name)]
        if not groups or (model != ALL and not any(each.model(model) for each in groups)):
            raise NotThere(f"exporters.yml has no model {serving}/{model}")
