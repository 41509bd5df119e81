"""Polls come once a second, and settle just before the scrapes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbag.serving.groups import Module
from airbag.serving.values import Endpoint
from airbag_exporters.config import ExportersConfig
from airbag_exporters.serving.fleet import Fleet
from airbag_exporters.serving.poll import Plan, Poller
from airbag_exporters.serving.rhythm import INTERVAL, LEAD_MAX, LEAD_MIN, STEP_MAX, Rhythm
from tests.fakes.clock import SetClock


def played(scrapes: list[float], until: float, took: float = 0.02, start: float = 0.0) -> list[float]:
    """The ticks of a poller whose page is read at those moments."""
    rhythm, ticks, left = Rhythm(), [start], sorted(scrapes)
    while ticks[-1] < until:
        ended = ticks[-1] + took
        while left and left[0] <= ended:
            rhythm.scraped(left.pop(0))
        ticks.append(rhythm.next(ticks[-1], ended))
    return ticks


def age_at(scrape: float, ticks: list[float]) -> float:
    return scrape - max(tick for tick in ticks if tick <= scrape)


@given(st.floats(0, 1e6), st.floats(0, 1e4))
def test_without_scrapes_ticks_keep_to_their_grid_and_leave_out_what_was_missed(start: float, late: float) -> None:
    tick = Rhythm().next(start, start + late)
    assert 0 < tick - (start + late) <= INTERVAL + 1e-6
    assert abs((tick - start) / INTERVAL - round((tick - start) / INTERVAL)) < 1e-6


@pytest.mark.parametrize("every", [1.0, 5.0])
@pytest.mark.parametrize("phase", [0.0, 0.03, 0.3, 0.5, 0.8, 0.99])
def test_polls_settle_just_before_the_scrapes(phase: float, every: float) -> None:
    scrapes = [phase + every * n for n in range(round(60 / every))]
    ticks = played(scrapes, 60.0)
    assert all(LEAD_MIN <= age_at(scrape, ticks) <= LEAD_MIN + 0.1 for scrape in scrapes if scrape > 20.0)


@given(st.lists(st.floats(0, 60), max_size=80), st.floats(0, 0.3))
def test_no_interval_differs_by_more_than_a_tenth(scrapes: list[float], took: float) -> None:
    for one, other in pairwise(played(scrapes, 60.0, took)):
        assert abs(other - one - INTERVAL) <= STEP_MAX + 1e-6


def test_slow_polls_begin_earlier_and_never_too_early() -> None:
    scrapes = [0.7 + n for n in range(60)]
    assert age_at(50.7, played(scrapes, 60.0, took=0.1)) == pytest.approx(LEAD_MIN + 0.2)
    assert age_at(50.7, played(scrapes, 60.0, took=0.4)) == pytest.approx(LEAD_MAX)


def test_of_two_who_scrape_the_first_sets_the_phase_until_it_stays_away() -> None:
    first = [0.3 + n for n in range(40)]
    second = [0.7 + n for n in range(5, 100)]
    ticks = played([*first, *second], 100.0)
    assert all(age_at(scrape, ticks) < 0.3 for scrape in first if scrape > 10.0)
    assert all(age_at(scrape, ticks) < 0.3 for scrape in second if scrape > 70.0)


def test_a_scrape_of_the_page_is_told_to_every_poller() -> None:
    group = {"name": "main", "targets": [{"name": name, "grpc": f"{name}:1"} for name in "ab"]}
    config = ExportersConfig.model_validate({"servings": [group]}, strict=False)
    clock = SetClock(1000.4)
    fleet = Fleet(config, clock)
    fleet.scraped()
    pollers = fleet._pollers.values()
    assert [poller.rhythm.next(1000.0, 1000.0) for poller in pollers] == pytest.approx([1001.1, 1001.1])


def test_a_poller_polls_to_its_rhythm() -> None:
    poller = Poller(Plan("main", "a", Endpoint("127.0.0.1:1", None), Module()), SetClock(1000.0))
    poller.rhythm.scraped(1000.55)
    poller.listener = lambda _state: poller.stop()
    clock = poller._clock
    poller.run()
    assert clock.monotonic() == pytest.approx(1001.1)
