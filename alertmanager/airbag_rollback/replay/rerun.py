"""Goes through a part of the past with the receiver's own judge, in a journal that is thrown away. Touches nothing."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from airbag.errors import AirbagError
from airbag.serving.groups import Servings
from airbag_rollback.config import Settings
from airbag_rollback.engine.decide import Decision, Kind
from airbag_rollback.engine.states import State
from airbag_rollback.files import Files
from airbag_rollback.journal import Journal, open_journal
from airbag_rollback.judge import Judge, Judged
from airbag_rollback.prove import Prover
from airbag_rollback.records import Action, Suspect
from airbag_rollback.replay.past import PastClock, PastPrometheus
from airbag_rollback.replay.serving import Past
from airbag_rollback.replay.stretches import Stretch
from airbag_rollback.world import Surroundings

REPEAT = 60.0
"""Seconds after which Alertmanager tells again of an alert that still fires: `repeat_interval` in alertmanager.yml."""

_LOOK_AGAIN = 10.0
"""Seconds between two looks at what a guard holds back."""

_NOTE_EVERY = 300.0
"""Seconds between two notes in the ledger of how versions do; there is one before each change and each alert too."""

Would = Literal["roll back", "ask a person", "call a person", "nothing", "repeated", "undecided"]
_WAY = (State.PLANNED, State.LEASED, State.ARMED, State.EXECUTING, State.VERIFY_MECHANISM, State.SUCCEEDED)


@dataclass(frozen=True)
class Finding:
    """What would have been done about a stretch. `at` is when that was decided; `looks` how often it was judged.

    Of a stretch that was judged several times without effect the last reason is told.
    """

    stretch: Stretch
    would: Would
    at: float
    reason: str
    text: str
    target: int | None = None
    looks: int = 0
    evidence: tuple[dict[str, Any], ...] = ()  # Any: JSON

    @property
    def after(self) -> float:
        """Seconds from the alert to the decision."""
        return max(0.0, self.at - self.stretch.start)


@dataclass
class _Case:
    stretch: Stretch
    action: Action
    looks: int = 0
    held_until: float | None = None


class Rerun:
    """One pass. `told` hears how far it is, as a share."""

    def __init__(
        self, settings: Settings, prometheus: PastPrometheus, past: Past, clock: PastClock, journal: Journal,
        step: float, told: Callable[[str, float], None],
    ) -> None:  # fmt: skip
        self._settings = settings
        self._prometheus = prometheus
        self._past = past
        self._clock = clock
        self._journal = journal
        self._step = step
        self._told = told
        current = lambda: settings  # noqa: E731 - what never changes here
        self._judge = Judge(past, journal, clock, current, Surroundings(journal, current).look, Files())
        self._prover = Prover(current, journal, clock, connect=lambda _url: prometheus)
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._found: list[Finding] = []
        self._last = 0.0

    def go(self, stretches: list[Stretch], start: float, end: float) -> list[Finding]:
        """Judge every stretch, in the order of time; RemoteError when Prometheus does not answer."""
        for group in self._settings.servings.servings:
            for place in sorted(each for each in self._past.models() if each[0] == group.name):
                for at in self._past.changes(place):
                    self._at(at - self._step / 2, self._prover.note)
                    self._at(at, lambda place=place: self._observe(*place))  # type: ignore[misc] # the loop's own
        for each in stretches:
            self._at(each.start - self._step / 2, self._prover.note)
            self._at(each.start, lambda each=each: self._alert(each))  # type: ignore[misc] # the loop's own
        at = start
        while at < end:
            self._at(at, self._prover.note)
            at += _NOTE_EVERY
        self._last = end
        self._run(start, end)
        return sorted(self._found, key=lambda each: (each.stretch.start, each.stretch.about))

    def _run(self, start: float, end: float) -> None:
        noted: float | None = None
        while self._queue:
            at, _, what = heapq.heappop(self._queue)
            self._clock.at = at
            if what == self._prover.note:
                if at == noted:
                    continue
                noted = at
            what()
            self._told("judging", min(1.0, max(0.0, (at - start) / max(end - start, self._step))))

    def _at(self, when: float, what: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (when, self._count, what))

    def _observe(self, serving: str, model: str) -> None:
        group = self._settings.servings.group(serving)
        if group is None:
            return
        view = self._past.look(group, model)
        if not view.unreachable:
            self._journal.ledger.observe(serving, model, view.serves, view.wanted, self._clock.now())

    def _alert(self, stretch: Stretch) -> None:
        """Alertmanager tells of it: for the first time, or once more."""
        group = self._settings.servings.group(stretch.serving)
        if group is None:
            self._end(stretch, "nothing", "serving_gone", f"exporters.yml has no serving {stretch.serving}")
            return
        self._observe(stretch.serving, stretch.model_name)
        now = self._clock.now()
        suspect = Suspect(stretch.serving, stretch.model_name, stretch.version, stretch.alertname, stretch.start)
        deadline = now + self._settings.policy.decide_within
        action, new = self._journal.actions.open_for(suspect, now, deadline)
        if not new:
            self._end(
                stretch, "repeated", "repeated", f"the answer to an alert before it is one to this, too: {action.text}"
            )
            return
        self._look(_Case(stretch, self._move(action, State.EVALUATING, "received", "")))

    def _look(self, case: _Case) -> None:
        """Judge as the receiver would have, and come back as often as it would have."""
        group = self._settings.servings.group(case.stretch.serving)
        assert group is not None  # noqa: S101 - asked when the case began
        judged = self._judge.decide(case.action, group, self._prometheus)
        case.looks += 1
        decision, now = judged.decision, self._clock.now()
        if decision.kind is Kind.PLAN:
            self._act(case, judged)
        elif decision.kind is Kind.SUPPRESS:
            self._suppress(case, judged)
        elif decision.kind is Kind.ASK:
            self._close(case, State.AWAITING_APPROVAL, "ask a person", decision, judged)
        elif decision.kind is Kind.PAGE or now >= self._deadline(case, decision):
            self._close(case, State.NEEDS_HUMAN, "call a person", decision, judged)
        else:
            again = now + (_LOOK_AGAIN if decision.kind is Kind.HOLD else self._step)
            again = min(again, self._deadline(case, decision))
            if again > self._last:  # what came then lies outside
                self._close(case, State.NEEDS_HUMAN, "undecided", decision, judged)
            else:
                self._at(again, lambda: self._look(case))

    def _deadline(self, case: _Case, decision: Decision) -> float:
        """A verdict is waited for briefly, a guard for long, as the receiver does."""
        policy, now = self._settings.policy, self._clock.now()
        if decision.kind is Kind.HOLD:
            case.held_until = case.held_until or now + policy.blocked_within
            return case.held_until
        if case.held_until is not None:
            case.held_until = None
            case.action = replace(case.action, deadline=now + policy.decide_within)
        return case.action.deadline

    def _act(self, case: _Case, judged: Judged) -> None:
        """Note it as done, so that guards count it and the version counts as rolled back. History goes its own way."""
        decision = judged.decision
        action = case.action
        for state in _WAY:
            changes: dict[str, Any] = {"target_version": decision.target} if state is State.PLANNED else {}
            changes |= {"fence": self._journal.lease.fence} if state is State.LEASED else {}
            changes |= {"armed_at": self._clock.now()} if state is State.ARMED else {}
            action = self._move(action, state, decision.reason, decision.text, **changes)
        self._tell(case, "roll back", decision, judged)

    def _suppress(self, case: _Case, judged: Judged) -> None:
        """Nothing, for now: an alert that goes on firing is told again."""
        again = self._clock.now() + REPEAT
        if again <= case.stretch.end:
            self._move(case.action, State.SUPPRESSED, judged.decision.reason, judged.decision.text)
            self._at(again, lambda: self._alert(case.stretch))
            return
        self._close(case, State.SUPPRESSED, "nothing", judged.decision, judged)

    def _close(self, case: _Case, state: State, would: Would, decision: Decision, judged: Judged) -> None:
        self._move(case.action, state, decision.reason, decision.text)
        self._tell(case, would, decision, judged)

    def _move(self, action: Action, to: State, reason: str, text: str, **changes: Any) -> Action:
        return self._journal.actions.move(action, to, self._clock.now(), reason, text, **changes)

    def _tell(self, case: _Case, would: Would, decision: Decision, judged: Judged) -> None:
        found = Finding(
            case.stretch, would, self._clock.now(), decision.reason, decision.text,
            decision.target if would != "nothing" else None, case.looks, judged.evidence,
        )  # fmt: skip
        self._found.append(found)

    def _end(self, stretch: Stretch, would: Would, reason: str, text: str) -> None:
        """What never became an action of its own; once per stretch, and not after a verdict about it."""
        if all(each.stretch is not stretch for each in self._found):
            self._found.append(Finding(stretch, would, self._clock.now(), reason, text))


@contextmanager
def journal_of_its_own() -> Iterator[Journal]:
    """A journal that is gone afterwards, led by this process."""
    with tempfile.TemporaryDirectory(prefix="airbag-replay-") as folder:
        journal = open_journal(Path(folder) / "journal.sqlite", b"replay")
        try:
            journal.lease.tend()
            with journal.lease.leading():
                yield journal
        finally:
            journal.close()


class NotReplayed(AirbagError):
    """The past cannot be judged: history is missing, or too coarse."""

    reason = "not_replayed"


def only_watched(settings: Settings) -> Settings:
    """The same without ways to the files of the present, which say nothing about the past."""
    groups = tuple(each.model_copy(update={"model_config_file": None}) for each in settings.servings.servings)
    return replace(settings, servings=Servings.model_construct(servings=groups, rules=settings.servings.rules))
