"""Shall we go back, and why or why not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from airbag_rollback.engine.guards import Held
from airbag_rollback.engine.states import Source
from airbag_rollback.engine.target import Choice
from airbag_rollback.engine.verdict import Bad, Measurement, Verdict, judge
from airbag_rollback.engine.world import World, WorldLimits, suspects

Mode = Literal["off", "observe", "approve", "auto"]


STOPPED = "has_stopped"
"""The reason to wait when trouble seems to be over by itself."""


class Kind(StrEnum):
    """What to do with an alert."""

    SUPPRESS = "suppress"  # nothing to do
    WAIT = "wait"  # no verdict yet: ask again
    HOLD = "hold"  # a guard says no for now: ask again, and tell people
    ASK = "ask"  # a person's word is missing
    PAGE = "page"  # a person decides
    PLAN = "plan"  # go back


@dataclass(frozen=True)
class Decision:
    """What to do and why. `reason` is a short word that is also a metric label, `text` a sentence for people."""

    kind: Kind
    reason: str
    text: str
    target: int | None = None
    until: float | None = None


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
    nothing up when it cannot be compared: other signals may know more. `lately` is the value over the last moments
    alone, None for signals that know no such thing. `beside` is what the version to go back to measures in the same
    window, where both serve. A landing that does not `restore` needs neither target nor baseline.
    `held` is the guard that says no. An action that was `approved`, and one that a person asked for, passes the guards.
    `unmonitored` is why a drill could not have been judged had it been an alert.
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
    source: Source = "alert"
    restores: bool = True
    lately: Measurement | None = None
    beside: Measurement | None = None
    world: World = field(default_factory=World)
    world_limits: WorldLimits = field(default_factory=WorldLimits)
    held: Held | None = None
    approved_by: str = ""
    unmonitored: str = ""
    escalates: bool = False


def decide(ask: Question) -> Decision:
    """Only a bad suspect with a good version to go back to gives a plan; everything else says why not.

    Going further back, because the version gone back to is bad as well, rests on that one's own verdict: it is the
    suspect then, and no release. What a person or a drill asks for needs no verdict, yet the same servers, the same
    peace and a usable target.
    """
    if not ask.restores:
        ask = replace(ask, choice=replace(ask.choice, target=None))
    if ask.escalates:
        return (
            _unseen(ask) or _gone(ask) or _busy(ask) or _not_bad(ask) or _no_target(ask) or _baseline(ask)
            or _stopped(ask) or _plan(ask)
        )  # fmt: skip
    if ask.source != "alert":
        return _unseen(ask) or _not_there(ask) or _busy(ask) or _blind(ask) or _no_target(ask) or _ordered(ask)
    return (
        _off(ask) or _unseen(ask) or _gone(ask) or _busy(ask) or _not_bad(ask) or _stopped_already(ask)
        or _not_the_release(ask) or _no_target(ask) or _the_world(ask) or _observed(ask) or _held(ask)
        or _approval(ask) or _plan(ask)
    )  # fmt: skip


def _off(ask: Question) -> Decision | None:
    if ask.mode == "off":
        return Decision(Kind.SUPPRESS, "mode_off", "the mode is off")
    return None


def _unseen(ask: Question) -> Decision | None:
    if ask.situation.unreachable:
        return Decision(Kind.WAIT, "server_unreachable", f"what serves cannot be seen: {ask.situation.unreachable}")
    return None


def _busy(ask: Question) -> Decision | None:
    return Decision(Kind.WAIT, "busy", "another action touches this model") if ask.situation.busy else None


def _gone(ask: Question) -> Decision | None:
    """A signal with a history is about what serves, the others (a load that failed) are about what is wanted."""
    where = ask.situation
    if ask.compares and ask.suspect not in where.serves:
        return Decision(Kind.SUPPRESS, "superseded", f"{ask.suspect} does not serve, {_list(where.serves)} does")
    if not ask.compares and where.wanted is not None and ask.suspect not in where.wanted:
        return Decision(Kind.SUPPRESS, "superseded", f"{ask.suspect} is not wanted, {_list(where.wanted)} is")
    return None


def _blind(ask: Question) -> Decision | None:
    """A drill fails where an alert could not be judged."""
    text = f"no alert could be judged: {ask.unmonitored}"
    return Decision(Kind.WAIT, "monitoring_silent", text) if ask.unmonitored else None


def _not_there(ask: Question) -> Decision | None:
    where = ask.situation
    if ask.suspect not in where.serves | (where.wanted or frozenset()):
        text = f"{ask.suspect} neither serves nor is wanted, {_list(where.serves)} serves"
        return Decision(Kind.SUPPRESS, "superseded", text)
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


def _stopped_already(ask: Question) -> Decision | None:
    """The window remembers trouble for a while after its end, such as that of a server that was restarted."""
    verdict = judge(ask.lately, ask.bad) if ask.lately is not None else Verdict.BAD
    if verdict is Verdict.BAD or ask.lately is None:
        return None
    text = f"{ask.suspect} measures {ask.measured}, but"
    if verdict is Verdict.GOOD:
        return Decision(Kind.WAIT, STOPPED, f"{text} {ask.lately.value:.3g} in the last moments: has it stopped?")
    return Decision(Kind.WAIT, "no_data_lately", f"{text} nothing is known of the last moments")


def _is_older_than_the_alert(ask: Question) -> bool:
    """An exporter's own alert may be here before Prometheus has read what it is about."""
    return ask.alert_at is not None and ask.now - (ask.measured.age or 0.0) < ask.alert_at


def _not_the_release(ask: Question) -> Decision | None:
    if not ask.restores:
        return None
    released = ask.situation.released_at
    if released is None:
        return Decision(Kind.PAGE, "release_unknown", f"{ask.suspect} is bad, but nobody saw it being released")
    age = ask.now - released
    if age > ask.release_window:
        text = f"{ask.suspect} is bad, but was released {age:.3g} s ago, longer than {ask.release_window:.3g} s"
        return Decision(Kind.PAGE, "outside_release_window", text)
    return None


def _no_target(ask: Question) -> Decision | None:
    if not ask.restores:
        return None
    if ask.choice.target is None:
        bad = "is bad, no" if ask.source == "alert" else "has no"
        return Decision(Kind.PAGE, "no_eligible_target", f"{ask.suspect} {bad} eligible target: {ask.choice}")
    if ask.source == "alert" and not ask.compares and ask.choice.target not in ask.situation.serves:
        text = f"{ask.suspect} does not load, and {ask.choice.target} does not serve"
        return Decision(Kind.PAGE, "nothing_serves", text)
    return None


def _the_world(ask: Question) -> Decision | None:
    """Evidence that going back helps: the version to go back to did better, and nothing else explains the trouble."""
    if not ask.restores:
        return None
    if not ask.compares:  # what does not load has no past
        return _around(ask)
    return _baseline(ask) or _beside(ask) or _around(ask)


def _baseline(ask: Question) -> Decision | None:
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


def _beside(ask: Question) -> Decision | None:
    if ask.beside is None or judge(ask.beside, ask.bad) is not Verdict.BAD:
        return None
    text = f"{ask.suspect} is bad and so is {ask.choice.target} in the same window: it measures {ask.beside}"
    return Decision(Kind.SUPPRESS if ask.yields else Kind.PAGE, "not_the_release", text)


def _around(ask: Question) -> Decision | None:
    found = suspects(ask.world, ask.world_limits)
    if found is None:
        return None
    reason, text = found
    return Decision(Kind.PAGE, reason, f"{ask.suspect} is bad ({ask.measured}), but likely not by its release: {text}")


def _observed(ask: Question) -> Decision | None:
    if ask.mode == "observe":
        return Decision(Kind.SUPPRESS, "mode_observe", f"would {_sentence(ask)}", ask.choice.target)
    return None


def _held(ask: Question) -> Decision | None:
    if ask.held is None or ask.approved_by:
        return None
    text = f"{ask.held.text}; would {_sentence(ask)}"
    return Decision(Kind.HOLD, ask.held.reason, text, ask.choice.target, ask.held.until)


def _stopped(ask: Question) -> Decision | None:
    """Half way there is no waiting: what holds back going further calls a person."""
    if ask.held is None:
        return None
    return Decision(Kind.PAGE, ask.held.reason, f"{ask.held.text}; would {_sentence(ask)}", ask.choice.target)


def _approval(ask: Question) -> Decision | None:
    if ask.mode != "approve" or ask.approved_by:
        return None
    return Decision(Kind.ASK, "approval", f"waits for approval to {_sentence(ask)}", ask.choice.target)


def _plan(ask: Question) -> Decision:
    by = f" (approved by {ask.approved_by})" if ask.approved_by else ""
    return Decision(Kind.PLAN, "bad", f"{_sentence(ask)}{by}", ask.choice.target)


def _ordered(ask: Question) -> Decision:
    what = f"go from {ask.suspect} back to {ask.choice.target}" if ask.restores else f"act on {ask.suspect}"
    return Decision(Kind.PLAN, "drill" if ask.source == "drill" else "ordered", what, ask.choice.target)


def _sentence(ask: Question) -> str:
    target = ask.choice.target
    compared = f", {target} measured {ask.baseline} when it served" if ask.baseline else ""
    what = f"go back to {target}" if ask.restores else "act"
    return f"{what}: {ask.suspect} measures {ask.measured}: bad{compared}"


def _list(versions: frozenset[int]) -> str:
    return ", ".join(str(version) for version in sorted(versions)) or "nothing"
