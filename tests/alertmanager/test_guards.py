"""Guards: each says no just when it should, says why and until when, and is silent just before and just after."""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbag_rollback.engine.guards import Freeze, Held, Limits, Past, exhausted, held

NONE = Limits(0.0, 0, 0.0, 0, 0.0)
LIMITS = Limits(cool_down=300.0, budget=3, budget_within=3600.0, breaker=5, breaker_within=900.0)
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
WEEKEND = Freeze("weekend", weekdays=frozenset({5, 6}))
TOKYO = Freeze("tokyo", weekdays=frozenset({0}), opens=time(9), closes=time(10), zone="Asia/Tokyo")
NIGHT = Freeze("night", weekdays=frozenset({0}), opens=time(22), closes=time(6))


def at(day: int, hour: int, minute: int = 0, zone: str = "UTC") -> float:
    return datetime(2026, 11, day, hour, minute, tzinfo=ZoneInfo(zone)).timestamp()


def test_nothing_holds_back_when_nothing_is_set_and_nothing_was_done() -> None:
    assert held(1000.0, "", (), LIMITS, Past()) is None
    assert held(1000.0, "", (), NONE, Past((999.0,) * 9, (999.0,) * 9)) is None


def test_a_pause_holds_before_everything_else_and_only_a_person_lifts_it() -> None:
    found = held(1000.0, "by ann: maintenance", (Freeze("always", 0.0, 2000.0),), LIMITS, Past((999.0,), (999.0,)))
    assert found == Held("paused", "rollbacks are paused: by ann: maintenance", None)


@pytest.mark.parametrize(("now", "until"), [(99.9, None), (100.0, 200.0), (199.9, 200.0), (200.0, None)])
def test_a_freeze_holds_from_its_first_moment_to_just_before_its_last(now: float, until: float | None) -> None:
    found = held(now, "", (Freeze("sale", 100.0, 200.0),), LIMITS, Past())
    assert (found and found.until) == until
    assert found is None or (found.reason, found.text) == ("frozen", "the freeze sale holds")


@pytest.mark.parametrize(
    ("freeze", "now", "until"),
    [
        (WEEKEND, at(27, 23, 59), None),
        (WEEKEND, at(28, 0), at(29, 0)),
        (WEEKEND, at(29, 23, 59), at(30, 0)),
        (WEEKEND, at(30, 0), None),
        (NIGHT, at(23, 21, 59), None),
        (NIGHT, at(23, 22), at(24, 6)),
        (NIGHT, at(24, 5, 59), at(24, 6)),
        (NIGHT, at(24, 6), None),
        (NIGHT, at(24, 22), None),
        (TOKYO, at(23, 0, 30), at(23, 1)),
        (TOKYO, at(23, 9, 30), None),
    ],
)  # fmt: skip
def test_a_weekly_freeze_knows_days_hours_midnight_and_zones(freeze: Freeze, now: float, until: float | None) -> None:
    assert freeze.until(now) == until


@given(
    st.floats(0, 4e9),
    st.frozensets(st.integers(0, 6)),
    st.times(),
    st.times(),
    st.sampled_from(["UTC", "America/St_Johns"]),
)
def test_a_freeze_that_holds_ends_later_and_holds_no_longer_then(
    now: float, days: frozenset[int], opens: time, closes: time, zone: str
) -> None:  # fmt: skip
    freeze = Freeze("f", weekdays=days, opens=opens, closes=closes, zone=zone)
    until = freeze.until(now)
    assert until is None or now < until <= now + 2 * 86_400
    assert days or until is None


@pytest.mark.parametrize(
    ("past", "reason", "until"),
    [
        (Past((700.0,)), None, None),
        (Past((700.1,)), "cool_down", 1000.1),
        (Past((100.0, 200.0)), None, None),
        (Past((100.0, 200.0, 300.0)), "budget", 3700.0),
        (Past((-2600.0, 200.0, 300.0)), None, None),
        (Past((-2599.0, 200.0, 300.0)), "budget", 1001.0),
        (Past((), (200.0, 300.0, 400.0, 500.0)), None, None),
        (Past((), (200.0, 300.0, 400.0, 500.0, 600.0)), "breaker", 1100.0),
        (Past((), (100.0, 300.0, 400.0, 500.0, 600.0)), None, None),
    ],
)
def test_a_limit_holds_exactly_while_it_is_used_up(past: Past, reason: str | None, until: float | None) -> None:
    found = exhausted(1000.0, LIMITS, past)
    assert (found and found.reason) == reason
    assert (found and found.until) == (until and pytest.approx(until))
    if found and found.until:
        assert exhausted(found.until + 0.001, LIMITS, past) is None


@given(st.lists(st.floats(0, 1000), max_size=12))
def test_as_long_as_nothing_holds_never_more_than_the_budget_is_spent_in_any_window(steps: list[float]) -> None:
    limits = Limits(0.0, 3, 500.0, 0, 0.0)
    now, spent = 0.0, []
    for step in steps:
        now += step
        if exhausted(now, limits, Past(tuple(spent), tuple(spent))) is None:
            spent.append(now)
    assert all(sum(begin < at <= begin + 500.0 for at in spent) <= 3 for begin in [-1.0, *spent])
