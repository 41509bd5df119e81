"""What may hold back a rollback that is otherwise right: rules that people set, and limits on how much Airbag does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Limits:
    """How much may be done. Times in seconds; 0 turns a limit off.

    At most `budget` effects on one model within `budget_within`, and `breaker` on the whole fleet within
    `breaker_within`; `cool_down` between two effects on one model.
    """

    cool_down: float = 300.0
    budget: int = 3
    budget_within: float = 3600.0
    breaker: int = 5
    breaker_within: float = 900.0


@dataclass(frozen=True)
class Past:
    """Effects so far, as times in seconds since the epoch: those on this model, and those on the whole fleet."""

    of_model: tuple[float, ...] = ()
    of_fleet: tuple[float, ...] = ()


@dataclass(frozen=True)
class Freeze:
    """A time in which nothing moves by itself. Either from `start` to `end`, or on `weekdays` (Monday is 0) between
    `opens` and `closes` in `zone`; times that end before they begin reach into the next day.
    """

    name: str
    start: float | None = None
    end: float | None = None
    weekdays: frozenset[int] = frozenset()
    opens: time = time(0)
    closes: time = time(0)
    zone: str = "UTC"

    def until(self, now: float) -> float | None:
        """When the freeze that holds at `now` ends; None when none holds."""
        if self.start is not None and self.end is not None:
            return self.end if self.start <= now < self.end else None
        zone = ZoneInfo(self.zone)
        today = datetime.fromtimestamp(now, zone).date()
        for day in (today - timedelta(days=1), today):
            begin, end = self._span(day, zone)
            if day.weekday() in self.weekdays and begin <= now < end:
                return end
        return None

    def _span(self, day: date, zone: ZoneInfo) -> tuple[float, float]:
        last = day if self.closes > self.opens else day + timedelta(days=1)
        begin, end = datetime.combine(day, self.opens, zone), datetime.combine(last, self.closes, zone)
        return begin.timestamp(), end.timestamp()


@dataclass(frozen=True)
class Held:
    """A guard that says no. `reason` is a metric label; `until` is None when only a person can lift it."""

    reason: str
    text: str
    until: float | None = None


def held(now: float, paused: str, freezes: Iterable[Freeze], limits: Limits, past: Past) -> Held | None:
    """The first guard that says no, or None. `paused` is who paused and why, "" when nobody did."""
    return _paused(paused) or _frozen(now, freezes) or exhausted(now, limits, past)


def exhausted(now: float, limits: Limits, past: Past) -> Held | None:
    """Whether one more effect now would be too much: cool-down, budget of the model, breaker of the fleet."""
    return _cooling(now, limits, past) or _over_budget(now, limits, past) or _broken(now, limits, past)


def _paused(by: str) -> Held | None:
    return Held("paused", f"rollbacks are paused: {by}") if by else None


def _frozen(now: float, freezes: Iterable[Freeze]) -> Held | None:
    for freeze in freezes:
        until = freeze.until(now)
        if until is not None:
            return Held("frozen", f"the freeze {freeze.name} holds", until)
    return None


def _cooling(now: float, limits: Limits, past: Past) -> Held | None:
    last = max(past.of_model, default=None)
    if last is None or now >= last + limits.cool_down:
        return None
    text = f"the last rollback of this model was {now - last:.3g} s ago, the cool-down is {limits.cool_down:g} s"
    return Held("cool_down", text, last + limits.cool_down)


def _over_budget(now: float, limits: Limits, past: Past) -> Held | None:
    spent = sorted(at for at in past.of_model if at > now - limits.budget_within)
    if not limits.budget or len(spent) < limits.budget:
        return None
    text = f"{len(spent)} rollbacks of this model within {limits.budget_within:g} s, {limits.budget} are allowed"
    return Held("budget", text, spent[-limits.budget] + limits.budget_within)


def _broken(now: float, limits: Limits, past: Past) -> Held | None:
    spent = sorted(at for at in past.of_fleet if at > now - limits.breaker_within)
    if not limits.breaker or len(spent) < limits.breaker:
        return None
    text = f"{len(spent)} rollbacks in the fleet within {limits.breaker_within:g} s, {limits.breaker} are allowed"
    return Held("breaker", text, spent[-limits.breaker] + limits.breaker_within)
