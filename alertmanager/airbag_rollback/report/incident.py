"""What both sources tell, put together: the first bad sign, the marks on the charts, what each action rests on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from airbag.errors import AirbagError
from airbag_rollback.engine.states import State
from airbag_rollback.pages.timeline import Measured, measured
from airbag_rollback.records import Action
from airbag_rollback.report.acts import Acts, Told
from airbag_rollback.report.past import Fired, Seen, Served


class NothingToReport(AirbagError):
    """Neither source tells anything of that model and time."""

    reason = "nothing_to_report"


class Kind(StrEnum):
    """What a mark on a chart stands for."""

    RELEASE = "release"
    ALERT = "alert"
    SWITCH = "switch"
    RECOVERED = "recovered"
    HUMAN = "human"


_LONGEST = 40
"""Letters of a mark."""


@dataclass(frozen=True)
class Mark:
    """A moment on every chart."""

    at: float
    kind: Kind
    text: str


@dataclass(frozen=True)
class Sign:
    """The moment from which seconds are counted, and what it is."""

    at: float
    what: str


@dataclass(frozen=True)
class Incident:
    """Everything that a report says. Times are seconds since the epoch. `about` is the action that was asked for."""

    serving: str
    model: str
    start: float
    end: float
    seen: Seen
    acts: Acts
    about: int | None = None

    @property
    def main(self) -> Action | None:
        """The action that it is about: the one asked for, else the first that touched something, else the first."""
        found = [each.action for each in self.told]
        asked = [each for each in found if each.id == self.about] or [
            each for each in found if each.acted_at is not None
        ]
        return next(iter([*asked, *found]), None)

    @property
    def told(self) -> tuple[Told, ...]:
        """The actions, less drills: those touch nothing and are no incident."""
        return tuple(each for each in self.acts.told if each.action.source != "drill")

    @property
    def fired(self) -> tuple[Fired, ...]:
        """The alerts that fired."""
        return tuple(each for each in self.seen.fired if each.firing is not None)

    @property
    def sign(self) -> Sign:
        """The first bad sign: of the action that it is about, else of the first alert that fired, else the start."""
        if self.main is not None:
            return _sign_of(self.main, self.seen)
        if self.fired:
            first = min(self.fired, key=lambda each: each.pending)
            return Sign(first.pending, f"the first sign of {_about(first)}")
        return Sign(self.start, "the start of the span")

    def releases(self) -> Iterator[Served]:
        """When another version than before began to answer on the first server that changed."""
        before: dict[str, int] = {}
        known: int | None = None
        for each in sorted(self.seen.served, key=lambda each: (each.start, each.target)):
            if before.get(each.target, each.version) != each.version and each.version != known:
                known = each.version
                yield each
            known = each.version if known is None else known
            before[each.target] = each.version

    def bad_versions(self) -> list[str]:
        """The versions that actions or rollback alerts called bad, in the order of time."""
        found = [str(each.action.bad_version) for each in self.told]
        found += [str(version) for each in self.told for version in each.action.tried]
        found += [each.version for each in self.fired if each.severity == "critical" and each.version]
        return list(dict.fromkeys(found))

    def marks(self) -> list[Mark]:
        """In the order of time."""
        back = {each.action.target_version for each in self.told if each.action.acted_at is not None}
        found = [
            Mark(each.start, Kind.RELEASE, f"release {each.version}")
            for each in self.releases()
            if each.version not in back or each.start < self.sign.at
        ]
        for each in self.told:
            found += _marks_of(each.action)
        if not self.told:
            found += [Mark(each.firing, Kind.ALERT, each.alertname) for each in self.fired if each.firing is not None]
        return sorted((each for each in found if self.start <= each.at <= self.end), key=lambda each: each.at)


def _marks_of(action: Action) -> Iterator[Mark]:
    by = action.alertname if action.source == "alert" else f"order of {action.asked_by}"[:_LONGEST]
    at = action.alert_at if action.alert_at is not None else action.received_at
    if at is not None:
        yield Mark(at, Kind.ALERT, by)
    if action.available_at is not None:
        yield Mark(action.available_at, Kind.SWITCH, f"back to {action.target_version}")
    elif action.acted_at is not None:
        yield Mark(action.acted_at, Kind.SWITCH, f"told to go back to {action.target_version}")
    if action.recovered_at is not None and action.state is State.SUCCEEDED:
        yield Mark(action.recovered_at, Kind.RECOVERED, "recovered")
    if action.state is State.NEEDS_HUMAN and action.ended_at is not None:
        yield Mark(action.ended_at, Kind.HUMAN, "a person is called")


def _sign_of(action: Action, seen: Seen) -> Sign:
    """Of the alert that stood when the action began, its first moment; it may have come to nothing since."""
    known = [at for at in (action.alert_at, action.received_at) if at is not None]
    about = [
        each for each in seen.fired
        if (each.alertname, each.version) == (action.alertname, str(action.bad_version))
        and known and each.pending <= max(known) and each.end >= min(known) - 2 * seen.fine
    ]  # fmt: skip
    if about:
        return Sign(about[-1].pending, f"the first sign of {_about(about[-1])}")
    if action.alert_at is not None:
        return Sign(action.alert_at, f"{action.alertname} on version {action.bad_version}")
    return Sign(action.received_at or 0.0, f"the moment at which action {action.id} began")


def _about(fired: Fired) -> str:
    return fired.alertname + (f" on version {fired.version}" if fired.version else "")


@dataclass(frozen=True)
class Judged:
    """The measurement that made an action, and the last one of what it went back to."""

    bad: Measured | None
    good: Measured | None


def judged(action: Action) -> Judged:
    """By the evidence of the action; None for what was never measured."""
    found = measured(action)
    bad = [each for each in found if each.version == str(action.bad_version) and each.verdict == "bad"]
    good = [
        each for each in found
        if each.version == str(action.target_version) and "age" in each.found and each.verdict == "good"
    ]  # fmt: skip
    return Judged(bad[0] if bad else None, good[-1] if good else None)
