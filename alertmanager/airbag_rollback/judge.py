"""Gathers what a decision rests on, asks the engine, and keeps the evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from airbag.clock import Clock
from airbag.config import parse_duration
from airbag.rules import Profile
from airbag.serving.groups import ServingGroup
from airbag_rollback.config import Policy
from airbag_rollback.engine.decide import Decision, Question, Situation, decide
from airbag_rollback.engine.target import Candidate, Choice, choose
from airbag_rollback.engine.verdict import Measurement, Verdict, judge
from airbag_rollback.evidence import Evidence
from airbag_rollback.journal import Journal
from airbag_rollback.look import Lookout, ModelView
from airbag_rollback.prometheus import Prometheus
from airbag_rollback.records import Action, Served
from airbag_rollback.signals import SIGNALS

_POLL = 1.0
"""Seconds between what happens at the server and the exporter's page that shows it."""


@dataclass(frozen=True)
class Judged:
    """A decision, the view it was made on, and every question behind it as JSON."""

    decision: Decision
    view: ModelView
    evidence: tuple[dict[str, Any], ...]  # Any: JSON


@dataclass(frozen=True)
class Recovery:
    """What the target measures after the switch; `text` for people."""

    verdict: Verdict
    text: str
    evidence: tuple[dict[str, Any], ...]  # Any: JSON


class Judge:
    """Reads and decides; has nothing to change anything with."""

    def __init__(self, lookout: Lookout, journal: Journal, clock: Clock, pace: Callable[[], Profile]) -> None:
        self._lookout = lookout
        self._journal = journal
        self._clock = clock
        self._pace = pace

    def decide(self, action: Action, group: ServingGroup, policy: Policy, prometheus: Prometheus) -> Judged:
        """Judge the alert behind `action` anew."""
        view = self._lookout.look(group, action.model_name)
        now = self._clock.now()
        if not view.unreachable:  # after a start the watcher may not have seen yet what this view shows
            self._journal.ledger.observe(action.serving, action.model_name, view.serves, view.wanted, now)
        signal = SIGNALS[action.alertname]
        served = self._journal.ledger.served(action.serving, action.model_name, now)
        choice = choose(_candidates(served, view), action.bad_version, policy.soak_min)
        released = self._journal.ledger.released_at(action.serving, action.model_name, action.bad_version)
        busy = self._journal.actions.busy(action)
        evidence = Evidence(prometheus, self._clock, action.serving, action.model_name, self._pace())
        measured, baseline = Measurement(), None
        if policy.mode != "off" and not view.unreachable:
            measured = evidence.now(signal, action.bad_version)
            if signal.history and choice.target is not None and judge(measured, signal.bad) is Verdict.BAD:
                baseline = evidence.history(signal, choice.target, _last_served(served, choice.target, now))
        decision = decide(
            Question(
                mode=policy.mode, now=now, suspect=action.bad_version, release_window=policy.release_window,
                situation=Situation(view.serves, view.wanted, released, view.unreachable, busy), choice=choice,
                bad=signal.bad, measured=measured, compares=bool(signal.history), baseline=baseline,
                alert_at=_cause_seen_at(action), yields=signal.yields,
            )
        )  # fmt: skip
        return Judged(decision, view, (_choice(choice), *map(asdict, evidence.readings)))

    def recovery(self, action: Action, prometheus: Prometheus) -> Recovery:
        """Whether the target of `action` does well now, by samples from after the switch only."""
        assert action.target_version is not None  # noqa: S101 - a plan names its target
        signal = SIGNALS[action.alertname]
        evidence = Evidence(prometheus, self._clock, action.serving, action.model_name, self._pace())
        if signal.history and self._clock.now() < (action.window_clear_at or 0.0):
            text = f"the last {self._pace().window} still hold what {action.target_version} answered before"
            return Recovery(Verdict.NOT_ENOUGH_DATA, text, ())
        measured = evidence.recovery(signal, action.target_version)
        verdict = judge(measured, signal.bad)
        text = f"{action.target_version} measures {measured}: {verdict}"
        return Recovery(verdict, text, tuple(map(asdict, evidence.readings)))

    def window_clear_at(self, action: Action, target: int) -> float | None:
        """From when on the target's window holds nothing of its life before the switch; None when it never served."""
        now = self._clock.now()
        served = self._journal.ledger.served(action.serving, action.model_name, now)
        if not any(each.version == target for each in served):
            return None
        pace = self._pace()
        lag = _POLL + parse_duration(pace.interval)
        return _last_served(served, target, now) + parse_duration(pace.window) + lag


def _cause_seen_at(action: Action) -> float | None:
    """The alert's own word, but no later than it came: clocks differ."""
    known = [at for at in (action.alert_at, action.received_at) if at is not None]
    return min(known, default=None)


def _candidates(served: list[Served], view: ModelView) -> list[Candidate]:
    known = {each.version: each for each in served}
    versions = set(known) | view.available | (view.on_disk or frozenset())
    return [
        Candidate(version, known[version].soak, known[version].rolled_back, view.present(version))
        if version in known
        else Candidate(version, present=view.present(version))
        for version in versions
    ]


def _last_served(served: list[Served], version: int, now: float) -> float:
    until = next((each.last_until for each in served if each.version == version), None)
    return now if until is None else until


def _choice(choice: Choice) -> dict[str, Any]:
    return {"what": "target", "target": choice.target, "refused": [list(each) for each in choice.refused]}
