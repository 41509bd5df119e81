"""Times in which an alert asked for a rollback, or should have by its signal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from airbag.config import parse_duration
from airbag.rules import Profile
from airbag_rollback.engine.verdict import MAX_AGE, Bad
from airbag_rollback.replay.past import PastPrometheus, Run, Span, runs
from airbag_rollback.replay.serving import Past
from airbag_rollback.signals import SIGNALS, Signal, fill

FIRED = 'ALERTS{alertstate="firing",airbag_action="rollback"}'


@dataclass(frozen=True)
class Stretch:
    """From the first to the last moment at which it asked. `by` is what asked: the rule, or its signal alone."""

    serving: str
    model_name: str
    version: int
    alertname: str
    start: float
    end: float
    by: Literal["alert", "signal"] = "alert"

    @property
    def about(self) -> tuple[str, str, int, str]:
        """What it asks for."""
        return self.serving, self.model_name, self.version, self.alertname


def fired(prometheus: PastPrometheus, span: Span) -> list[Stretch]:
    """By the alerts that Prometheus noted."""
    found = [_stretch(run, run.labels.get("alertname", ""), "alert") for run in runs(prometheus, FIRED, span, "alerts")]
    return _joined((each for each in found if each is not None), 2 * span.step)


def measured(
    prometheus: PastPrometheus, past: Past, span: Span, pace: Profile, model_name: str | None = None
) -> list[Stretch]:  # fmt: skip
    """By the signals themselves, for as long as a rule waits before it fires; of one model if so asked."""
    hold = parse_duration(pace.hold)
    found: list[Stretch] = []
    for serving, model in sorted(each for each in past.models() if model_name in (None, each[1])):
        for version, start, end in past.versions((serving, model)):
            there = replace(span, start=max(span.start, start), end=min(span.end, end + parse_duration(pace.window)))
            for name, signal in SIGNALS.items():
                query = fill(bad_moments(signal), serving, model, version, pace)
                known = {"serving": serving, "model_name": model, "model_version": str(version)}
                times = [replace(run, labels=known) for run in runs(prometheus, query, there, f"signals of {model}")]
                stretches = (_stretch(run, name, "signal") for run in times)
                joined = _joined((each for each in stretches if each is not None), 2 * span.step)
                found += [replace(each, start=each.start + hold) for each in joined if each.end - each.start >= hold]
    return found


def bad_moments(signal: Signal) -> str:
    """A query that answers, and with 1, at the moments at which the verdict is bad; to be filled in."""
    side = ">" if signal.bad is Bad.ABOVE else "<"
    parts = [f"(({signal.value}) {side} on () group_left () ({signal.threshold}))"]
    if signal.samples:
        parts.append(f"and on () (({signal.samples}) >= on () group_left () ({signal.samples_min}))")
    parts.append(f"and on () (({signal.age}) <= {MAX_AGE:g})")
    return f"group({' '.join(parts)})"


def told_apart(alerts: Iterable[Stretch], signals: Iterable[Stretch], slack: float) -> list[Stretch]:
    """All alerts, and the signals that no alert of the same name told of at about the same time; by their start."""
    known = list(alerts)
    alone = [
        each
        for each in signals
        if not any(a.about == each.about and a.start - slack <= each.end and each.start - slack <= a.end for a in known)
    ]
    return sorted([*known, *alone], key=lambda each: (each.start, each.about))


def _stretch(run: Run, name: str, by: Literal["alert", "signal"]) -> Stretch | None:
    get = run.labels.get
    version = get("model_version", "")
    if name not in SIGNALS or not (version.isdecimal() and len(version) <= 18):
        return None
    return Stretch(get("serving", ""), get("model_name", ""), int(version), name, run.start, run.end, by)


def _joined(stretches: Iterable[Stretch], slack: float) -> list[Stretch]:
    """Those about the same that follow each other at once are one."""
    latest: dict[tuple[str, str, int, str], Stretch] = {}
    done: list[Stretch] = []
    for each in sorted(stretches, key=lambda each: each.start):
        before = latest.get(each.about)
        if before is not None and each.start - before.end <= slack:
            latest[each.about] = replace(before, end=max(before.end, each.end))
            continue
        if before is not None:
            done.append(before)
        latest[each.about] = each
    return sorted([*done, *latest.values()], key=lambda each: (each.start, each.about))
