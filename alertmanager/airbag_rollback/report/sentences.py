"""What happened, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from airbag_rollback.engine.states import ENDED, State
from airbag_rollback.pages.timeline import Measured, stages
from airbag_rollback.pages.words import duration, moment, short
from airbag_rollback.records import Action
from airbag_rollback.report.acts import Told
from airbag_rollback.report.incident import Incident, judged
from airbag_rollback.report.units import SPOKEN, shown

_LONG = 5.0


def summary(incident: Incident) -> list[str]:
    """A paragraph for each action, or one for a span in which nothing was done."""
    if incident.told:
        return [" ".join(_of(incident, each)) for each in incident.told]
    return [" ".join(_quiet(incident))]


def measurement(action: Action, found: Measured) -> str:
    """What a version measured, with unit, threshold, and how many samples it rests on."""
    spoken, values = SPOKEN.get(action.alertname), found.found
    if spoken is None:
        return f"{values.get('value')} against {values.get('threshold')}"
    parts = [spoken.allows.format(shown(values.get("threshold"), spoken.unit))]
    if spoken.samples and values.get("samples") is not None:
        parts.append(f"counted on {values['samples']:.0f} {spoken.samples}")
    return f"{spoken.says.format(shown(values.get('value'), spoken.unit))} ({', '.join(parts)})"


def _of(incident: Incident, told: Told) -> Iterator[str]:
    action, sign = told.action, incident.sign
    until = action.available_at or action.ended_at or incident.end
    released = [
        each.start for each in incident.releases() if each.version == action.bad_version and each.start <= until
    ]
    first = next(each for each in incident.told if each.action.bad_version == action.bad_version)
    if released and told is first:
        version = f"Version {action.bad_version} of {incident.model} on {incident.serving}"
        yield f"{version} was first seen answering {moment(released[-1])}."
    if action is incident.main:
        yield f"The first bad sign came {moment(sign.at)}: {sign.what}."
    bad = judged(action).bad
    if bad is not None:
        yield f"Asked anew at {short(bad.asked_at)}, version {bad.version} was bad: {measurement(action, bad)}."
    yield from _held(told)
    yield from _done(incident, action)


def _held(told: Told) -> Iterator[str]:
    """What held it back for long enough to matter, guards and missing verdicts alike."""
    waited: dict[str, float] = {}
    why: dict[str, str] = {}
    for event, following in pairwise(told.events):
        if event.after == State.BLOCKED:
            waited[event.reason] = waited.get(event.reason, 0.0) + following.at - event.at
            why.setdefault(event.reason, event.text.partition(";")[0])
    for reason, seconds in waited.items():
        if seconds >= _LONG:
            yield f"For {duration(seconds)} it was held back: {why[reason]}."


def _done(incident: Incident, action: Action) -> Iterator[str]:
    who = "Airbag" if action.source == "alert" else f"By order of {action.asked_by}, Airbag"
    way = f"from {action.bad_version} back to {action.target_version}"
    if action.acted_at is None:
        yield _untouched(action)
        return
    approved = f", approved by {action.approved_by}" if action.approved_by else ""
    yield f"{who} went {way} (action {action.id}{approved})."
    took = "; ".join(f"{each.text}: {duration(each.seconds)}" for each in stages(action))
    if took:
        yield f"How long it took: {took}."
    if action.available_at is not None:
        proven = action.recovered_at
        yield (
            f"Version {action.target_version} served again {duration(action.available_at - incident.sign.at)} after "
            "the first bad sign"
            + ("." if proven is None else f", and was proven good {duration(proven - incident.sign.at)} after it.")
        )
    yield _helped(action)


def _helped(action: Action) -> str:
    good = judged(action).good
    if action.state is State.SUCCEEDED:
        proof = f": on version {good.version}, {measurement(action, good)}" if good is not None else ""
        return f"It helped{proof}."
    if action.state in ENDED:
        return f"It is not known to have helped: {_ended(action)}"
    return f"It is not over yet: {action.text or str(action.state)}."


def _untouched(action: Action) -> str:
    if action.state not in ENDED:
        return f"Action {action.id} has touched nothing so far: {action.text or str(action.state)}."
    return f"Nothing was touched (action {action.id}): {_ended(action)}"


def _ended(action: Action) -> str:
    called = "a person was called. " if action.state is State.NEEDS_HUMAN else ""
    return f"{called}{action.text or action.reason}.".replace("..", ".")


def _quiet(incident: Incident) -> Iterator[str]:
    if incident.acts.problem:
        yield "What Airbag did is not known, as the receiver could not be asked."
    else:
        yield "Airbag did nothing to this model in this time."
    if incident.seen.problem:
        yield "What was measured is not known, as Prometheus could not be asked."
        return
    if not incident.fired:
        yield "No alert fired on it."
        return
    names = sorted({each.alertname for each in incident.fired})
    yield f"{len(incident.fired)} alert{'s' * (len(incident.fired) > 1)} fired: {', '.join(names)}."
