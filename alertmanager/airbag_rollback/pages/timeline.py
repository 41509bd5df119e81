"""What the page of one action shows: its transitions, how long its stages took, and what it rests on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airbag_rollback.engine.states import CANCELLABLE, ENDED, REOPENS, State
from airbag_rollback.engine.verdict import Measurement, judge
from airbag_rollback.journal.audit import Record
from airbag_rollback.pages.words import duration
from airbag_rollback.records import Action
from airbag_rollback.signals import SIGNALS


@dataclass(frozen=True)
class Row:
    """One audit record. `state` is where the action stood afterwards, "" for what moved nothing."""

    seq: int
    at: float
    took: float | None
    what: str
    state: str
    reason: str
    text: str
    by: str


@dataclass(frozen=True)
class Stage:
    """One stretch of the way, up to `done`. `x` and `width` are shares of the whole bar in percent."""

    name: str
    text: str
    seconds: float
    x: float
    width: float
    done: float


@dataclass(frozen=True)
class Measured:
    """The questions about one version at one moment. `verdict` is "" when the signal is not known any more."""

    version: str
    asked_at: float
    found: dict[str, float | None]
    verdict: str
    readings: tuple[Mapping[str, Any], ...]  # Any: JSON
    error: str


def rows(records: Iterable[Record]) -> list[Row]:
    """The records in order, each with the seconds since the one before."""
    found: list[Row] = []
    for record in records:
        fields = record.fields
        took = record.at - found[-1].at if found else None
        moved = record.kind == "transition"
        text = fields.get("text") or fields.get("because") or ""
        found.append(
            Row(record.seq, record.at, took, record.kind, fields["after"] if moved else "", fields.get("reason", ""),
                str(text), str(fields.get("by", "")))
        )  # fmt: skip
    return found


_STAGES = (
    ("detected", "alert to receiver", "alert_at", "received_at"),
    ("decided", "judging", "received_at", "decided_at"),
    ("approved", "waiting for a person", "decided_at", "approved_at"),
    ("acted", "until told", "approved_at", "acted_at"),
    ("available", "until it served", "acted_at", "available_at"),
    ("recovered", "until proven good", "available_at", "recovered_at"),
)


def stages(action: Action) -> list[Stage]:
    """The stages that were reached. Each gets a sliver of the bar at least, so that it can be seen."""
    spans = []
    for name, text, start, end in _STAGES:
        begun, done = getattr(action, start), getattr(action, end)
        if start == "approved_at" and begun is None:  # nobody had to be asked
            begun = action.decided_at
        if begun is not None and done is not None:
            spans.append((name, text, max(0.0, done - begun), done))
    whole = sum(seconds for _, _, seconds, _ in spans) or 1.0
    widths = [max(1.5, 100 * seconds / whole) for _, _, seconds, _ in spans]
    scale = 100 / (sum(widths) or 1.0)
    found, x = [], 0.0
    for (name, text, seconds, done), width in zip(spans, widths, strict=True):
        found.append(Stage(name, text, seconds, round(x, 3), round(width * scale, 3), done))
        x += width * scale
    return found


def spoken(found: Iterable[Stage]) -> str:
    """The bar as a sentence, for who does not see it."""
    return "; ".join(f"{stage.name} {duration(stage.seconds)}" for stage in found)


_ASKED = ("value", "threshold", "samples", "samples_min", "age")


def measured(action: Action) -> list[Measured]:
    """The readings of the signal, put together: one line for each version and moment."""
    groups: list[list[Mapping[str, Any]]] = []
    for each in action.evidence:
        what, _, version = str(each.get("what", "")).partition(" of ")
        if "query" not in each or what not in _ASKED:
            continue
        if what == "value" or not groups or _version(groups[-1][0]) != version:
            groups.append([])
        groups[-1].append(each)
    found: list[Measured] = []
    for group in groups:
        found.append(_measured(action, group, found[0].found if found else {}))
    return found


def _measured(action: Action, readings: list[Mapping[str, Any]], first: Mapping[str, float | None]) -> Measured:
    """What does not differ between versions (threshold and least samples) is asked once and holds for all."""
    found = {name: first[name] for name in ("threshold", "samples_min") if name in first}
    found |= {str(each["what"]).partition(" of ")[0]: each.get("value") for each in readings}
    errors = [str(each["error"]) for each in readings if each.get("error")]
    signal = SIGNALS.get(action.alertname)
    verdict = ""
    if signal is not None:
        past = "age" not in found  # a version's history is never too old
        said = Measurement(
            found.get("value"), found.get("threshold"), found.get("samples"), found.get("samples_min"),
            0.0 if past else found.get("age"), counted=bool(signal.samples),
        )  # fmt: skip
        verdict = str(judge(said, signal.bad))
    at = float(readings[0].get("asked_at", 0.0))
    return Measured(_version(readings[0]), at, found, verdict, tuple(readings), "; ".join(errors))


def also_asked(action: Action) -> list[Mapping[str, Any]]:
    """The other readings: what surrounds the suspect."""
    return [
        each for each in action.evidence
        if "query" in each and str(each.get("what", "")).partition(" of ")[0] not in _ASKED
    ]  # fmt: skip


def _version(reading: Mapping[str, Any]) -> str:
    return str(reading["what"]).partition(" of ")[2]


def other_evidence(action: Action) -> list[tuple[str, str]]:
    """What else the decision rests on, as a name and its JSON."""
    rest = [each for each in action.evidence if "query" not in each and each.get("what") != "target"]
    return [(str(each.get("what", "")), pretty({k: v for k, v in each.items() if k != "what"})) for each in rest]


def refused(action: Action) -> list[tuple[int, str]]:
    """Why the other versions were not chosen, by the last choice."""
    choices = [each for each in action.evidence if each.get("what") == "target"]
    return [(version, why) for version, why in choices[-1].get("refused", [])] if choices else []


def pretty(value: object) -> str:
    """JSON to read."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)


def can_approve(action: Action) -> bool:
    """Whether a person's word would let it go on."""
    return action.state in (State.AWAITING_APPROVAL, State.BLOCKED) and not action.approved_by


def can_reject(action: Action) -> bool:
    """Whether a person may still say no."""
    return action.state in CANCELLABLE


def can_clear(action: Action) -> bool:
    """Whether it has ended and still holds its release."""
    return action.state in ENDED - REOPENS and action.cleared_at is None
