"""Gathers what a decision rests on, asks the engine, and keeps the evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from airbag.clock import Clock
from airbag.config import parse_duration
from airbag.rules import Profile
from airbag.serving.groups import ServingGroup
from airbag_rollback.config import Settings
from airbag_rollback.drill import unmonitored
from airbag_rollback.engine.decide import Decision, Question, Situation, decide
from airbag_rollback.engine.guards import Held, held
from airbag_rollback.engine.target import Candidate, Choice, Rules, choose
from airbag_rollback.engine.verdict import Bad, Measurement, Verdict, judge
from airbag_rollback.engine.world import World
from airbag_rollback.evidence import Evidence
from airbag_rollback.files import Files, FilesOf, store_of
from airbag_rollback.journal import Journal
from airbag_rollback.look import Lookout, ModelView
from airbag_rollback.policy import Policy, Rule
from airbag_rollback.prometheus import Prometheus
from airbag_rollback.records import Action, Served
from airbag_rollback.signals import SIGNALS, Signal

_POLL = 1.0
"""Seconds between what happens at the server and the exporter's page that shows it."""


@dataclass(frozen=True)
class Judged:
    """A decision, the view and the rule it was made on, and every question behind it as JSON."""

    decision: Decision
    view: ModelView
    rule: Rule
    evidence: tuple[dict[str, Any], ...]  # Any: JSON


@dataclass(frozen=True)
class Recovery:
    """What the target measures after the switch; `text` for people."""

    verdict: Verdict
    text: str
    evidence: tuple[dict[str, Any], ...]  # Any: JSON


class Judge:
    """Reads and decides; has nothing to change anything with."""

    def __init__(
        self, lookout: Lookout, journal: Journal, clock: Clock, settings: Callable[[], Settings],
        world: Callable[[Action, Choice, Evidence], World], files: Files,
    ) -> None:  # fmt: skip
        self._lookout = lookout
        self._journal = journal
        self._clock = clock
        self._settings = settings
        self._world = world
        self._files = files

    @property
    def _pace(self) -> Profile:
        return self._settings().servings.rules.pace

    def decide(self, action: Action, group: ServingGroup, prometheus: Prometheus) -> Judged:
        """Judge the alert or the order behind `action` anew."""
        policy = self._settings().policy
        rule = policy.rule(action.serving, action.model_name, action.alertname)
        view = self._lookout.look(group, action.model_name)
        now = self._clock.now()
        if not view.unreachable:  # after a start the watcher may not have seen yet what this view shows
            self._journal.ledger.observe(action.serving, action.model_name, view.serves, view.wanted, now)
        evidence = Evidence(prometheus, self._clock, action.serving, action.model_name, self._pace)
        choice = self.choice(action, view)
        situation = Situation(
            view.serves, view.wanted,
            self._journal.ledger.released_at(action.serving, action.model_name, action.bad_version),
            view.unreachable, self._journal.actions.busy(action),
        )  # fmt: skip
        ask = Question(
            mode=rule.mode, now=now, suspect=action.suspect_version, release_window=rule.release_window,
            situation=situation, choice=choice, bad=Bad.ABOVE, measured=Measurement(), compares=False,
            alert_at=_cause_seen_at(action), source=action.source, restores=policy.restores(rule.landing),
            world_limits=policy.world.limits, held=self._held(action, policy, now), approved_by=action.approved_by,
            escalates=bool(action.tried),
        )  # fmt: skip
        if action.source == "alert" and rule.mode != "off" and not view.unreachable:
            ask = self._measured(ask, action, evidence)
        if action.source == "drill" and not view.unreachable:
            ask = replace(ask, unmonitored=unmonitored(evidence, action.bad_version))
        decision = decide(ask)
        return Judged(decision, view, rule, (_choice(choice), *map(asdict, evidence.readings), *_told(ask.world)))

    def _measured(self, ask: Question, action: Action, evidence: Evidence) -> Question:
        """The question with what Prometheus says. Nothing beyond the suspect is asked while that is not bad."""
        signal = SIGNALS[action.alertname]
        ask = replace(ask, bad=signal.bad, compares=bool(signal.history), yields=signal.yields)
        ask = replace(ask, measured=evidence.now(signal, action.suspect_version))
        if signal.lately and judge(ask.measured, signal.bad) is Verdict.BAD:
            share = evidence.number("share lately", signal.lately, action.suspect_version)
            ask = replace(ask, lately=replace(ask.measured, value=share))
        target = ask.choice.target
        if target is None or not ask.restores or judge(ask.measured, signal.bad) != Verdict.BAD:
            return ask
        if signal.history:
            left = self._journal.ledger.left(action.serving, action.model_name, target, ask.now)
            ask = replace(ask, baseline=evidence.history(signal, target, left))
            if judge(ask.baseline or Measurement(), signal.bad) != Verdict.GOOD:
                return ask
        if action.tried:  # how the world is was asked before the first attempt
            return ask
        beside = evidence.now(signal, target) if self._both_serve(ask, action, signal) else None
        return replace(ask, beside=beside, world=self._world(action, ask.choice, evidence))

    def _both_serve(self, ask: Question, action: Action, signal: Signal) -> bool:
        """Whether the target can be measured beside the suspect. Right after a switch its window holds what was before,
        perhaps slowed down by the load of the suspect itself, which says nothing about the world.
        """
        if not signal.history:
            return False
        group = self._settings().servings.group(action.serving)
        entry = group.model(action.model_name) if group else None
        chosen = entry is not None and entry.routing == "versions"
        return chosen or not signal.samples or ask.choice.target in ask.situation.serves

    def _held(self, action: Action, policy: Policy, now: float) -> Held | None:
        paused = self._journal.pauses.on(action.serving, action.model_name, now)
        limits, past = policy.guards.limits, self._journal.actions.past(action)
        if action.tried:  # going further back is part of the same rollback
            limits = replace(limits, cool_down=0.0)
        return held(now, paused, policy.guards.freezes, limits, past)

    def choice(self, action: Action, view: ModelView) -> Choice:
        """The version to go back to as things stand, with the reasons against the others."""
        policy = self._settings().policy
        rule = policy.rule(action.serving, action.model_name, action.alertname)
        now = self._clock.now()
        served = self._journal.ledger.served(action.serving, action.model_name, now)
        quarantined = self._journal.quarantine.of(action.serving, action.model_name)
        rules = Rules(rule.soak_min, policy.requests_min, rule.not_before, frozenset(action.tried))
        group = self._settings().servings.group(action.serving)
        base = store_of(group, action.model_name) if group else None
        noted = {each.version: each.checksum for each in served}

        def flaw(version: int) -> str:
            if base is None or view.on_disk is None:
                return ""
            loaded = version in view.available
            ask = FilesOf(base, version, action.suspect_version, noted.get(version, ""), loaded)
            return self._files.flaw(ask, now)

        candidates = _candidates(served, view, quarantined)
        suspect, asked = action.suspect_version, action.asked_target
        return choose(_with_flaws(candidates, suspect, rules, asked, flaw), suspect, rules, asked)

    def recovery(self, action: Action, prometheus: Prometheus) -> Recovery:
        """Whether the target of `action` does well now, by samples from after the switch only."""
        assert action.target_version is not None  # noqa: S101 - a plan names its target
        evidence = Evidence(prometheus, self._clock, action.serving, action.model_name, self._pace)
        if action.alertname not in SIGNALS:
            return self._all_signals(action, evidence)
        signal = SIGNALS[action.alertname]
        if signal.history and self._clock.now() < (action.window_clear_at or 0.0):
            text = f"the last {self._pace.window} still hold what {action.target_version} answered before"
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
        pace = self._pace
        lag = _POLL + parse_duration(pace.interval)
        return _last_served(served, target, now) + parse_duration(pace.window) + lag

    def _all_signals(self, action: Action, evidence: Evidence) -> Recovery:
        """After an order without an alert: good unless any signal calls the target bad; the worst verdict wins."""
        target = action.target_version or action.bad_version
        if self._clock.now() < (action.window_clear_at or 0.0):
            return Recovery(Verdict.NOT_ENOUGH_DATA, f"the last {self._pace.window} still hold what was before", ())
        bad = [
            f"{name}: {measured}"
            for name, signal in SIGNALS.items()
            if judge(measured := evidence.now(signal, target), signal.bad) is Verdict.BAD
        ]
        readings = tuple(map(asdict, evidence.readings))
        if bad:
            return Recovery(Verdict.BAD, f"{target} is bad by {'; '.join(bad)}", readings)
        return Recovery(Verdict.GOOD, f"nothing calls {target} bad", readings)


def _cause_seen_at(action: Action) -> float | None:
    """The alert's own word, but no later than it came: clocks differ."""
    known = [at for at in (action.alert_at, action.received_at) if at is not None]
    return min(known, default=None)


def _candidates(served: list[Served], view: ModelView, quarantined: Mapping[int, str]) -> list[Candidate]:
    known = {each.version: each for each in served}
    versions = set(known) | view.available | (view.on_disk or frozenset())
    return [
        known.get(each, Served.never(each)).candidate(view.present(each), quarantined.get(each, ""))
        for each in versions
    ]


def _with_flaws(
    candidates: list[Candidate], suspect: int, rules: Rules, asked: int | None, flaw: Callable[[int], str]
) -> list[Candidate]:
    """The same, with what their files have against them: newest first, down to one that can be gone back to.

    Looking at files takes time, which what is refused anyway and what nobody asks about does not need.
    """
    found, settled = [], False
    for each in sorted(candidates, key=lambda each: each.version, reverse=True):
        if not settled and choose([each], suspect, rules, asked).target is not None:
            each = replace(each, flaw=flaw(each.version))
            settled = not each.flaw
        found.append(each)
    return found


def _last_served(served: list[Served], version: int, now: float) -> float:
    until = next((each.last_until for each in served if each.version == version), None)
    return now if until is None else until


def _told(world: World) -> tuple[dict[str, Any], ...]:
    return () if world == World() else ({"what": "world", **asdict(world)},)


def _choice(choice: Choice) -> dict[str, Any]:
    return {"what": "target", "target": choice.target, "refused": [list(each) for each in choice.refused]}
