"""The forms that change something. All of them go to `People`, who checks, writes and audits."""

from __future__ import annotations

from starlette.responses import Response

from airbag_rollback.journal.pauses import ALL
from airbag_rollback.pages.frame import Ask, Frame
from airbag_rollback.pages.overview import Model, Overview
from airbag_rollback.pages.words import duration
from airbag_rollback.people import NotNow, NotThere
from airbag_rollback.receiver import Receiver
from airbag_rollback.records import Action, Served

PAUSES = {"1800": "30 minutes", "3600": "1 hour", "14400": "4 hours", "86400": "1 day", "": "until somebody resumes"}


class Ordering:
    """Handlers. Each sends on to what it changed; sent twice, it changes nothing more and leads to the same place."""

    def __init__(self, receiver: Receiver, frame: Frame, overview: Overview) -> None:
        self._receiver = receiver
        self._frame = frame
        self._overview = overview

    def approve(self, ask: Ask) -> Response:
        """Only what was shown is approved: another target in the meantime has to be looked at first."""
        action = self._action(ask.action_id)
        shown = ask.field("target")
        if action.approved_by == ask.visitor.name:
            return self._frame.done(ask, f"/actions/{action.id}", f"You approved action {action.id} already.")
        if shown != _target(action):
            raise NotNow(
                f"action {action.id} would now go back to {_target(action) or 'nothing'}, not to {shown or 'nothing'} "
                "as the page showed; look again"
            )
        self._receiver.people.approve(action.id, ask.visitor.name, _because(ask))
        return self._frame.done(ask, f"/actions/{action.id}", f"Action {action.id} is approved and goes on.")

    def reject(self, ask: Ask) -> Response:
        """No."""
        action = self._action(ask.action_id)
        if not (action.state == "CANCELLED" and action.reason == "rejected"):
            self._receiver.people.reject(action.id, ask.visitor.name, _because(ask))
        text = f"Action {action.id} is rejected: version {action.bad_version} stays where it is."
        return self._frame.done(ask, f"/actions/{action.id}", text)

    def clear(self, ask: Ask) -> Response:
        """Let the release be acted on again."""
        action = self._action(ask.action_id)
        if action.cleared_at is None:
            self._receiver.people.clear(action.id, ask.visitor.name)
        text = f"Action {action.id} is cleared: the same release may be acted on again."
        return self._frame.done(ask, f"/actions/{action.id}", text)

    def confirm(self, ask: Ask) -> Response:
        """What a manual rollback would do, before anything is done."""
        model = self._model(ask)
        if not model.serves or model.view is None or model.suspect is None:
            raise NotNow(
                f"nothing can be rolled back on {model.serving}/{model.name}: {model.trouble or 'nothing serves'}"
            )
        to = ask.number("to")
        if to is None:
            to = model.options.target if model.options else None
        return self._frame.show(
            ask, "rollback.html", model=model, to=to, because=_because(ask),
            served=self._served(model, to), restores=self._receiver.settings.policy.restores(model.landing),
        )  # fmt: skip

    def roll_back(self, ask: Ask) -> Response:
        """Do it, if what serves is still what the confirmation named."""
        model = self._model(ask)
        shown, to = ask.number("from"), ask.number("to")
        if model.opened and (model.opened.asked_by, model.opened.asked_target) == (ask.visitor.name, to):
            return self._frame.done(
                ask, f"/actions/{model.opened.id}", "You ordered this rollback already; here it is."
            )
        if shown is None or model.suspect != shown:
            raise NotNow(
                f"{model.suspect or 'nothing'} serves {model.serving}/{model.name} now, not {shown} as the page "
                "showed; look again"
            )
        action = self._receiver.people.roll_back(model.serving, model.name, to, ask.visitor.name, _because(ask))
        return self._frame.done(ask, f"/actions/{action.id}", f"The rollback is ordered as action {action.id}.")

    def pause(self, ask: Ask) -> Response:
        """For a time, with a reason."""
        seconds, because = ask.field("seconds"), _because(ask)
        if seconds not in PAUSES:
            raise NotNow(f"{seconds!r} is none of the times to choose from")
        if not because:
            raise NotNow("a pause needs a reason: somebody else will find it at night")
        serving, model = ask.field("serving"), ask.field("model")
        for each in self._receiver.journal.pauses.present(self._receiver.clock.now()):
            same = (each.serving, each.model_name, each.by, each.reason) == (serving, model, ask.visitor.name, because)
            if same and self._receiver.clock.now() - each.since < 10:
                break  # the same form, sent twice
        else:
            self._receiver.people.pause(serving, model, float(seconds) if seconds else None, ask.visitor.name, because)
        how_long = f"for {duration(float(seconds))}" if seconds else "until somebody resumes them"
        return self._frame.done(
            ask, _place(serving, model), f"Rollbacks of {_scope(serving, model)} are paused {how_long}."
        )

    def resume(self, ask: Ask) -> Response:
        """End exactly this pause; one that is over already is as good."""
        serving, model = ask.field("serving"), ask.field("model")
        pauses = self._receiver.journal.pauses.present(self._receiver.clock.now())
        if any((each.serving, each.model_name) == (serving, model) for each in pauses):
            self._receiver.people.resume(serving, model, ask.visitor.name)
        return self._frame.done(
            ask, _place(serving, model), f"Rollbacks of {_scope(serving, model)} are not paused any more."
        )

    def _served(self, model: Model, version: int | None) -> Served | None:
        now = self._receiver.clock.now()
        served = self._receiver.journal.ledger.served(model.serving, model.name, now)
        return next((each for each in served if each.version == version), None)

    def _action(self, action_id: int) -> Action:
        action = self._receiver.journal.actions.get(action_id)
        if action is None:
            raise NotThere(f"there is no action {action_id}")
        return action

    def _model(self, ask: Ask) -> Model:
        key = (ask.field("serving"), ask.field("model"))
        found = self._overview.models([key], anew=True)
        if not found:
            raise NotThere(f"exporters.yml has no model {key[0]}/{key[1]}")
        return found[0]


def _target(action: Action) -> str:
    return "" if action.target_version is None else str(action.target_version)


def _because(ask: Ask) -> str:
    return ask.field("because")[:500]


def _place(serving: str, model: str) -> str:
    return "/" if model == ALL else f"/#{serving}/{model}"


def _scope(serving: str, model: str) -> str:
    return "everything" if (serving, model) == (ALL, ALL) else f"{serving}/{model}"
