"""How much counters grew: over restarts, over series that come and go, and over windows of any length."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from airbag_exporters.quality.aggregate.catalog import Key, Table
from airbag_exporters.quality.aggregate.history import History

ONE: Key = ("rows", "main", "m", "1")
TWO: Key = ("rows", "main", "m", "2")
TWO_WRONG: Key = ("wrong", "main", "m", "2")


def seen(*looks: tuple[float, dict[Key, float]], span: float = 3600) -> History:
    history = History(span)
    for at, counts in looks:
        history.add(at, Table(tuple(counts), np.array(list(counts.values()), np.float64)))
    return history


def grown(history: History, since: float) -> dict[Key, float]:
    return dict(zip(history.keys, history.increase(since).tolist(), strict=True))


def test_counting_begins_with_the_first_look() -> None:
    history = seen((0, {ONE: 500}), (15, {ONE: 520}))
    assert grown(history, -1000) == {ONE: 20}
    assert grown(seen((0, {ONE: 500})), -1000) == {ONE: 0}


def test_nothing_is_known_before_any_look() -> None:
    assert (History(60).increase(0).tolist(), History(60).latest) == ([], None)


def test_between_looks_counters_grow_evenly() -> None:
    history = seen((0, {ONE: 0}), (10, {ONE: 100}), (20, {ONE: 100}), (30, {ONE: 160}))
    assert [grown(history, since)[ONE] for since in (0, 2.5, 10, 15, 25, 30, 40)] == [160, 135, 60, 60, 30, 0, 0]


def test_a_series_that_appears_began_at_0() -> None:
    history = seen((0, {ONE: 5}), (15, {ONE: 5, TWO: 40}), (30, {ONE: 6, TWO: 50}))
    assert grown(history, 0) == {ONE: 1, TWO: 50}
    assert grown(history, 15) == {ONE: 1, TWO: 10}


def test_when_one_counter_of_an_owner_fell_all_of_its_began_at_0() -> None:
    """`TWO_WRONG` has grown past its old value before the next look; only its owner's other counter tells."""
    history = seen((0, {ONE: 7, TWO: 100, TWO_WRONG: 1}), (15, {ONE: 9, TWO: 30, TWO_WRONG: 3}))
    assert grown(history, 0) == {ONE: 2, TWO: 30, TWO_WRONG: 3}


def test_a_series_that_left_still_counts_where_it_grew_and_comes_back_from_0() -> None:
    history = seen((0, {ONE: 0, TWO: 0}), (15, {ONE: 10, TWO: 20}), (30, {ONE: 15}))
    assert grown(history, 0) == {ONE: 15, TWO: 20}
    history.add(45, Table((TWO,), np.array([4.0])))
    assert grown(history, 0) == {ONE: 15, TWO: 24}
    assert grown(history, 30) == {ONE: 0, TWO: 4}


def test_a_series_that_left_long_ago_is_forgotten() -> None:
    history = seen((0, {ONE: 0, TWO: 0}), (10, {ONE: 1, TWO: 9}), (20, {ONE: 2}), span=60)
    for at in range(30, 200, 10):
        history.add(at, Table((ONE,), np.array([float(at)])))
    history.add(200, Table((ONE, TWO_WRONG), np.array([200.0, 0.0])))
    assert set(history.keys) == {ONE, TWO_WRONG}


def test_a_day_of_looks_needs_no_more_than_some_hundreds() -> None:
    keys = (ONE,)
    history = History(86_400)
    for at in range(0, 3 * 86_400, 60):
        history.add(at, Table(keys, np.array([float(at)])))
    assert len(history) < 600
    last = 3 * 86_400 - 60
    for window in (60, 300, 3600, 86_400):
        np.testing.assert_allclose(history.increase(last - window), [window])


@given(st.lists(st.tuples(st.floats(0.1, 100), st.integers(0, 1000)), min_size=2, max_size=200), st.floats(1, 500))
def test_no_look_makes_the_growth_of_a_whole_window_wrong(steps: list[tuple[float, int]], window: float) -> None:
    """What is left out by and by makes the beginning of a window uncertain, by no more than its neighbours."""
    history, at, count, counts = History(500), 0.0, 0, []
    for seconds, more in steps:
        at, count = at + seconds, count + more
        counts.append((at, count))
        history.add(at, Table((ONE,), np.array([float(count)])))
    keys = history.keys
    assert keys == (ONE,)
    found = history.increase(at - window)[0]
    # Between the counts some way before and after the beginning of the window:
    slack = 100 + window / 10
    least = count - min((n for t, n in counts if t >= at - window + slack), default=count)
    most = count - max((n for t, n in counts if t <= at - window - slack), default=counts[0][1])
    assert least - 1e-6 <= found <= most + 1e-6
