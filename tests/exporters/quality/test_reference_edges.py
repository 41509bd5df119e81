"""Bins: equally many values each, robust against ties, and counted exactly."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from airbag_exporters.quality.columns import Coded, Floats
from airbag_exporters.quality.reference.edges import edges
from airbag_exporters.quality.reference.sample import Sample, row_keys, sample_rows
from airbag_exporters.quality.reference.tally import ExactSum, NumberTally, TextSurvey, TextTally

ANY = hnp.arrays(np.float64, st.integers(1, 200), elements=st.floats(allow_nan=True, allow_infinity=True))
FINITE = hnp.arrays(np.float64, st.integers(1, 200), elements=st.floats(allow_nan=False, allow_infinity=False))
TIED = hnp.arrays(np.float64, st.integers(1, 200), elements=st.sampled_from([-1.5, 0.0, 0.1, 0.2, 3.0, 1e300]))


def sampled(*columns: Floats, size: int) -> Sample:
    sample, first = Sample(size), 0
    for values in columns:
        sample.add(values, row_keys(first, len(values)))
        first += len(values)
    return sample


@given(FINITE | TIED, st.integers(2, 20))
def test_edges_ascend_stay_inside_the_data_and_leave_no_bin_empty(values: Floats, bins: int) -> None:
    found = edges(np.sort(values), bins)
    assert len(found) < bins
    assert all(left < right for left, right in pairwise(found))
    assert all(values.min() <= edge < values.max() for edge in found)
    counts = np.histogram(values, [-math.inf, *(np.nextafter(edge, math.inf) for edge in found), math.inf])[0]
    assert (counts > 0).all()


@given(FINITE | TIED, st.integers(2, 20))
def test_each_edge_is_a_value_or_half_way_to_the_next_one(values: Floats, bins: int) -> None:
    different = np.unique(values)
    middles = different[:-1] / 2 + different[1:] / 2
    assert set(edges(np.sort(values), bins)) <= {*different.tolist(), *middles.tolist()}


@given(FINITE, st.integers(2, 20))
def test_the_edges_part_the_data_where_numpys_quantiles_do(values: Floats, bins: int) -> None:
    if len(np.unique(values)) <= bins:
        return
    quantiles = np.unique(np.quantile(values, np.arange(1, bins) / bins, method="inverted_cdf"))
    below = [np.count_nonzero(values <= each) for each in quantiles if each < values.max()]
    assert [np.count_nonzero(values <= each) for each in edges(np.sort(values), bins)] == below


def test_quantiles_of_continuous_data_give_bins_of_equal_share() -> None:
    values = np.sort(np.exp(5 * np.random.default_rng(1).normal(size=10_000)))
    shares = np.diff([0, *(np.count_nonzero(values <= each) for each in edges(values, 10)), 10_000]) / 10_000
    assert shares == pytest.approx([0.1] * 10, abs=1e-4)


def test_few_different_values_have_a_bin_each_with_edges_half_way() -> None:
    assert edges(np.sort(np.repeat([0.0, 1.0, 2.0, 5.0], [900, 5, 5, 5])), 10) == (0.5, 1.5, 3.5)


def test_a_constant_has_no_edges() -> None:
    assert edges(np.full(50, 7.0), 10) == ()


def test_a_value_that_comes_back_as_float32_falls_into_its_own_bin() -> None:
    values = np.repeat([0.1, 0.2, 0.7], [30, 60, 10])
    found = edges(np.sort(values), 10)
    assert np.array_equal(np.searchsorted(found, values), np.searchsorted(found, values.astype(np.float32)))


def test_neighbours_among_doubles_and_the_largest_ones_still_make_edges() -> None:
    assert edges(np.array([1.0, np.nextafter(1.0, 2.0)]), 10) == (1.0,)
    assert edges(np.array([-1.7e308, 1.7e308]), 10) == (0.0,)
    assert edges(np.array([1.6e308, 1.7e308]), 10) == (pytest.approx(1.65e308),)
    assert edges(np.array([0.0, 5e-324]), 10) == (0.0,)


@given(ANY, st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=10, unique=True))
def test_counts_equal_numpys_on_any_data(values: Floats, some: list[float]) -> None:
    chosen = tuple(sorted(set(some)))
    tally = NumberTally(chosen)
    tally.add(values)
    finite = values[np.isfinite(values)]
    if not len(finite):
        assert tally.problem() == "has no finite value"
        return
    profile = tally.profile()
    assert profile.le == (*(np.count_nonzero(values <= each) for each in chosen), np.count_nonzero(~np.isnan(values)))
    assert profile.missing == np.count_nonzero(np.isnan(values))
    assert (profile.minimum, profile.maximum) == (finite.min(), finite.max())
    assert tally.infinite == np.count_nonzero(np.isinf(values))


@given(ANY, st.integers(0, 200), st.integers(1, 50))
def test_the_sample_does_not_depend_on_how_the_data_is_cut(values: Floats, cut: int, size: int) -> None:
    whole, pieces = sampled(values, size=size), sampled(values[:cut], values[cut:], size=size)
    assert np.array_equal(whole.values(), pieces.values())
    assert whole.seen == np.count_nonzero(np.isfinite(values))
    assert len(whole.values()) == min(whole.seen, size)


def test_while_they_fit_all_values_are_kept() -> None:
    values = np.random.default_rng(2).normal(size=500)
    assert np.array_equal(sampled(values[:499], values[499:], size=500).values(), np.sort(values))


def test_a_sample_of_much_data_has_its_quantiles() -> None:
    values = np.arange(200_000.0)
    found = sampled(*np.split(values, 50), size=20_000)
    assert found.values() == pytest.approx(np.linspace(0, 200_000, 20_000), abs=200_000 * 0.015)


def test_many_columns_share_a_bounded_number_of_sampled_values() -> None:
    assert sample_rows(20) == 200_000
    assert sample_rows(1000) * 1000 <= 20_000_000


@given(hnp.arrays(np.float64, st.integers(0, 60), elements=st.floats(-1e200, 1e200)), st.integers(0, 60))
def test_the_mean_of_a_target_does_not_depend_on_how_the_data_is_cut(values: Floats, cut: int) -> None:
    total = ExactSum()
    total.add(values[:cut])
    total.add(values[cut:])
    assert total.mean() == (math.fsum(values) / len(values) if len(values) else 0.0)


def test_the_most_frequent_categories_are_named_and_ties_go_by_name() -> None:
    survey = TextSurvey()
    survey.add(Coded.of(["ü", "b", "ü", "a", None, "c"]))
    assert survey.top(3) == ["ü", "a", "b"]


def test_what_cannot_be_a_label_of_its_own_is_counted_as_other() -> None:
    texts = ["", "other", "x" * 201, "x" * 200, None]
    survey = TextSurvey()
    survey.add(Coded.of(texts))
    assert survey.top(10) == ["x" * 200]
    tally = TextTally(survey.top(10))
    tally.add(Coded.of(texts))
    profile = tally.profile()
    assert (profile.counts, profile.other, profile.missing) == ({"x" * 200: 1}, 3, 1)


def test_a_column_of_ids_is_no_category() -> None:
    survey = TextSurvey()
    survey.add(Coded(tuple(map(str, range(200_001))), np.arange(200_001)))
    assert "more than 200000 different texts" in survey.problem()
