"""Shall we go back, and why or why not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from airbag_rollback.engine.target import Choice
from airbag_rollback.engine.verdict import Bad, Measurement, Verdict, judge

Mode = Literal["off", "observe", "auto"]


class Kind(StrEnum):
    """What to do with an alert."""

    SUPPRESS = "suppress"  # nothing to do
    WAIT = "wait"  # ask again
    PAGE = "page"  # a person decides
    PLAN = "plan"  # go back


@dataclass(frozen=True)
class Decision:
    """What to do and why. `reason` is a short word that is also a metric label, `text` a sentence for people."""

    kind: Kind
    reason: str
    text: str
    target: int | None = None


@dataclass(frozen=True)
class Situation:
    """What is true of the model now.

    `serves`: the versions that answer by default, one or more while servers differ. `wanted`: the versions that the
    configuration names, None when it cannot be read or names none. `released_at`: when the suspect first served or
    was first wanted, seconds since the epoch, None when nobody saw it. `unreachable`: what did not answer, or "".
    `busy`: another action touches this model.
    """

    serves: frozenset[int]
    wanted: frozenset[int] | None
    released_at: float | None
    unreachable: str = ""
    busy: bool = False


@dataclass(frozen=True)
class Question:
    """Everything a decision rests on. `compares` is False for signals that have no history to compare with.

    `alert_at` is when the alert's cause was seen; None when nobody said. A signal that `yields` pages nobody and holds
    nothing up when it cannot be compared: other signals may know more.
    """

    mode: Mode
    now: float
    suspect: int
    release_window: float
    situation: Situation
    choice: Choice
    bad: Bad
    measured: Measurement
    compares: bool
    baseline: Measurement | None = None
    alert_at: float | None = None
    yields: bool = False


def decide(ask: Question) -> Decision:
    """Only a bad suspect with a good version to go back to gives a plan; everything else says why not."""
    return (
        _off(ask) or _gone(ask) or _not_bad(ask) or _not_the_release(ask) or _no_target(ask) or _the_world(ask)
        or _plan(ask)
    )  # fmt: skip


def _off(ask: Question) -> Decision | None:
    if ask.mode == "off":
        return Decision(Kind.SUPPRESS, "mode_off", "the mode is off")
    return None


def _gone(ask: Question) -> Decision | None:
    """A signal with a history is about what serves, the others (a load that failed) are about what is wanted."""
    where = ask.situation
    if where.unreachable:
        return Decision(Kind.WAIT, "server_unreachable", f"what serves cannot be seen: {where.unreachable}")
    if ask.compares and ask.suspect not in where.serves:
        return Decision(Kind.SUPPRESS, "superseded", f"{ask.suspect} does not serve, {_list(where.serves)} does")
    if not ask.compares and where.wanted is not None and ask.suspect not in where.wanted:
        return Decision(Kind.SUPPRESS, "superseded", f"{ask.suspect} is not wanted, {_list(where.wanted)} is")
    if where.busy:
        return Decision(Kind.WAIT, "busy", "another action touches this model")
    return None


def _not_bad(ask: Question) -> Decision | None:
    verdict = judge(ask.measured, ask.bad)
    if verdict is Verdict.BAD:
        return None
    text = f"{ask.suspect} measures {ask.measured}"
    if verdict is Verdict.GOOD and _is_older_than_the_alert(ask):
        return Decision(Kind.WAIT, "measured_before", f"{text}: good, but measured before the alert's cause was seen")
    if verdict is Verdict.GOOD:
        return Decision(Kind.SUPPRESS, "good", f"{text}: good")
    reason = "no_data" if verdict is Verdict.NO_DATA else "not_enough_data"
    return Decision(Kind.WAIT, reason, f"{text}: {verdict}")


def _is_older_than_the_alert(ask: Question) -> bool:
    """An exporter's own alert may be here before Prometheus has read what it is about."""
    return ask.alert_at is not None and ask.now - (ask.measured.age or 0.0) < ask.alert_at


def _not_the_release(ask: Question) -> Decision | None:
    released = ask.situation.released_at
    if released is None:
        return Decision(Kind.PAGE, "release_unknown", f"{ask.suspect} is bad, but nobody saw it being released")
    age = ask.now - released
    if age > ask.release_window:
        text = f"{ask.suspect} is bad, but was released {age:.3g} s ago, longer than {ask.release_window:.3g} s"
        return Decision(Kind.PAGE, "outside_release_window", text)
    return None


def _no_target(ask: Question) -> Decision | None:
    if ask.choice.target is None:
        return Decision(Kind.PAGE, "no_eligible_target", f"{ask.suspect} is bad, no eligible target: {ask.choice}")
    if not ask.compares and ask.choice.target not in ask.situation.serves:
        text = f"{ask.suspect} does not load, and {ask.choice.target} does not serve"
        return Decision(Kind.PAGE, "nothing_serves", text)
    return None


def _the_world(ask: Question) -> Decision | None:
    """Evidence that going back helps: the version to go back to did better when it served."""
    if not ask.compares:
        return None
    verdict = judge(ask.baseline or Measurement(), ask.bad)
    if verdict is Verdict.GOOD:
        return None
    text = f"{ask.choice.target} measured {ask.baseline or 'nothing'} when it served"
    if verdict is Verdict.BAD:
        kind = Kind.SUPPRESS if ask.yields else Kind.PAGE
        return Decision(kind, "not_the_release", f"{ask.suspect} is bad and so was the version before: {text}")
    reason = "baseline_no_data" if verdict is Verdict.NO_DATA else "baseline_not_enough_data"
    is_asked_again = ask.baseline is not None and ask.baseline.detail  # Prometheus gave no answer this time
    kind = Kind.SUPPRESS if ask.yields and not is_asked_again else Kind.WAIT
    return Decision(kind, reason, f"{ask.suspect} is bad, but {text}: {verdict}")


def _plan(ask: Question) -> Decision:
    target = ask.choice.target
    compared = f", {target} measured {ask.baseline} when it served" if ask.baseline else ""
    text = f"{ask.suspect} measures {ask.measured}: bad{compared}"
    if ask.mode == "observe":
        return Decision(Kind.SUPPRESS, "mode_observe", f"would go back to {target}: {text}", target)
    return Decision(Kind.PLAN, "bad", f"go back to {target}: {text}", target)


def _list(versions: frozenset[int]) -> str:
    return ", ".join(str(version) for version in sorted(versions)) or "nothing"
