"""The aggregator's formulas against scipy and scikit-learn; that they are the rules' is tested elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import precision_recall_fscore_support, r2_score

from airbag_exporters.quality.aggregate import arithmetic as the
from airbag_exporters.quality.aggregate.arithmetic import Floats, Groups

COUNTS = st.lists(st.lists(st.integers(0, 1000), min_size=1, max_size=12), min_size=1, max_size=6)


def ragged(counts: list[list[int]]) -> tuple[Floats, Groups]:
    of = np.repeat(np.arange(len(counts)), [len(each) for each in counts])
    return np.array([n for each in counts for n in each], np.float64), Groups(of, len(counts))


def shares(counts: Floats, groups: Groups) -> Floats:
    return the.smoothed(counts, groups.sum(counts), groups.sum(np.ones(len(counts))), groups)


@given(COUNTS, st.randoms(use_true_random=False))
def test_divergences_are_those_of_scipy_for_features_of_any_number_of_bins(counts: list[list[int]], random) -> None:  # type: ignore[no-untyped-def]  # hypothesis' Random
    one, groups = ragged(counts)
    other, _ = ragged([random.sample(each, len(each)) for each in counts])
    p, q = shares(one, groups), shares(other, groups)
    js = the.jensen_shannon(p, q, the.negentropy(q, groups), groups)
    psi = the.psi(p, q, groups)
    for number in range(groups.count):
        own = groups.of == number
        assert js[number] == pytest.approx(jensenshannon(p[own], q[own]) ** 2, abs=1e-9)
        assert psi[number] == pytest.approx(((p[own] - q[own]) * np.log(p[own] / q[own])).sum())
    assert (psi >= 0).all()
    np.testing.assert_allclose(the.psi(p, p, groups), 0)


@given(COUNTS)
def test_sums_and_maxima_are_those_of_each_group(counts: list[list[int]]) -> None:
    cells, groups = ragged(counts)
    assert groups.sum(cells).tolist() == [sum(each) for each in counts]
    assert groups.max(cells).tolist() == [max(each) for each in counts]


def test_a_group_without_cells_has_no_maximum_and_no_sum() -> None:
    groups = Groups(np.array([1, 1]), 3)
    np.testing.assert_array_equal(groups.max(np.array([1.0, 2.0])), [np.nan, 2, np.nan])
    np.testing.assert_array_equal(the.present_sum(groups, np.array([np.nan, 2.0])), [np.nan, 2, np.nan])


def test_macro_scores_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    predicted, actual = rng.integers(0, 5, 500), rng.integers(0, 5, 500)
    tp, said, true = (
        np.array([condition(c).sum() for c in range(5)], np.float64)
        for condition in (
            lambda c: (predicted == c) & (actual == c),
            lambda c: predicted == c,
            lambda c: actual == c,
        )
    )
    precision, recall, f1, _ = precision_recall_fscore_support(actual, predicted)
    np.testing.assert_allclose(the.ratio(tp, said), precision)
    np.testing.assert_allclose(the.ratio(tp, true), recall)
    np.testing.assert_allclose(the.f1(tp, said, true), f1)


def test_r2_is_that_of_scikit_learn_about_any_mean() -> None:
    rng = np.random.default_rng(2)
    actual = rng.normal(50, 3, 1000)
    predicted = actual + rng.normal(0, 1, 1000)
    about = actual - 47.0
    found = the.r2(*(np.array([x]) for x in (((predicted - actual) ** 2).sum(), about.sum(), (about**2).sum(), 1000.0)))
    assert found[0] == pytest.approx(r2_score(actual, predicted))


@pytest.mark.parametrize("formula", [the.share_stderr, the.ratio, the.agresti_caffo_stderr])
def test_without_rows_there_is_nothing_to_say(formula) -> None:  # type: ignore[no-untyped-def]  # any of them
    with np.errstate(invalid="ignore"):
        assert np.isnan(formula(np.array([np.nan]), np.array([0.0])))[0]


def test_drift_is_significant_only_above_its_noise_and_on_enough_rows() -> None:
    rows = np.array([301.0, 300.0, 5000.0, np.nan])
    floor = the.psi_noise_floor(np.full(4, 10.0), rows, np.full(4, 1000.0))
    assert floor[0] == pytest.approx(9 * (1 / 301 + 1 / 1000))
    np.testing.assert_array_equal(the.psi_significant(np.full(4, 0.2), floor, rows), [1, 0, 1, np.nan])
    np.testing.assert_array_equal(the.psi_significant(3 * floor, floor, rows), [0, 0, 0, np.nan])
