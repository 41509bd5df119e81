"""The pages that only show."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.responses import Response

from airbag_rollback.api.reports import document_of
from airbag_rollback.engine.states import ENDED
from airbag_rollback.journal.history import History
from airbag_rollback.journal.pauses import ALL
from airbag_rollback.pages import timeline
from airbag_rollback.pages.frame import Ask, Frame
from airbag_rollback.pages.ordering import PAUSES
from airbag_rollback.pages.overview import Overview
from airbag_rollback.people import NotThere
from airbag_rollback.receiver import Receiver
from airbag_rollback.records import Action

PER_PAGE = 25


class Reading:
    """Handlers."""

    def __init__(self, receiver: Receiver, frame: Frame, overview: Overview) -> None:
        self._receiver = receiver
        self._frame = frame
        self._overview = overview
        self._history = History(receiver.journal.database)

    def overview(self, ask: Ask) -> Response:
        """What serves, what is open, what ended lately."""
        pauses = self._receiver.journal.pauses.present(self._receiver.clock.now())
        of_all = next((each for each in pauses if each.serving == each.model_name == ALL), None)
        return self._frame.show(
            ask, "overview.html", models=self._overview.models(), opened=self._overview.open(),
            ended=self._overview.ended(), pause=of_all,
            leads=bool(self._receiver.journal.lease.fence),
            mode=self._receiver.settings.policy.mode, buttons=buttons, measured=timeline.measured, pause_times=PAUSES,
        )  # fmt: skip

    def open_part(self, ask: Ask) -> Response:
        """The open actions alone."""
        return self._frame.part(
            ask, "open.html", opened=self._overview.open(), buttons=buttons, measured=timeline.measured
        )

    def actions(self, ask: Ask) -> Response:
        """The history, with filters."""
        model, state = ask.field("model") or None, ask.field("outcome") or None
        before, after = ask.number("before"), ask.number("after")
        found = self._history.page(
            PER_PAGE + 1, model=model, state=state.upper() if state else None, before=before, after=after
        )  # fmt: skip
        more = len(found) > PER_PAGE
        found = (found[1:] if after is not None else found[:-1]) if more else found
        kept = {name: value for name, value in (("model", model), ("outcome", state)) if value}
        older = newer = ""
        if found and (more or after is not None):
            older = "/actions?" + urlencode(kept | {"before": found[-1].id})
        if found and (before is not None or (after is not None and more)):
            newer = "/actions?" + urlencode(kept | {"after": found[0].id})
        return self._frame.show(
            ask, "actions.html", actions=found, models=self._history.models(), outcomes=sorted(map(str, ENDED)),
            model=model or "", outcome=(state or "").upper(), older=older, newer=newer,
        )  # fmt: skip

    def action(self, ask: Ask) -> Response:
        """The timeline of one."""
        return self._frame.show(ask, "action.html", **self._of(ask))

    def report(self, ask: Ask) -> Response:
        """The report that was attached to one, as a page of its own."""
        found = document_of(self._receiver, ask.action_id)
        if found is None:
            raise NotThere(f"no report is attached to action {ask.action_id}")
        return found

    def action_part(self, ask: Ask) -> Response:
        """The part of it that changes while the action is open."""
        return self._frame.part(ask, "action_part.html", **self._of(ask))

    def _of(self, ask: Ask) -> dict[str, object]:
        action = self._receiver.journal.actions.get(ask.action_id)
        if action is None:
            raise NotThere(f"there is no action {ask.action_id}")
        stages = timeline.stages(action)
        return {
            "action": action, "rows": timeline.rows(self._history.records(action.id)), "stages": stages,
            "spoken": timeline.spoken(stages), "measured": timeline.measured(action), "buttons": buttons(action),
            "refused": timeline.refused(action), "other_evidence": timeline.other_evidence(action),
            "also_asked": timeline.also_asked(action), "plan": timeline.pretty(action.plan) if action.plan else "",
            "report": self._receiver.journal.reports.of(action.id),
        }  # fmt: skip


def buttons(action: Action) -> set[str]:
    """What a person may do to it now."""
    fitting = {
        "approve": timeline.can_approve(action), "reject": timeline.can_reject(action),
        "clear": timeline.can_clear(action),
    }  # fmt: skip
    return {name for name, fits in fitting.items() if fits}
