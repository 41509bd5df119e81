"""Values of features fall into the bins of the reference exactly, however large the batch is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from airbag_exporters.quality.reference.value import Categorical
from tests.exporters.quality.counted import coded, counted, numeric, predictions_of, reference_of, spec_of

EDGES = (0.1, 0.25, 0.3, 0.7)
AGES = numeric([0.0, 0.1, 0.2, 0.9], EDGES)
SIZES = [1, 63, 64, 65, 1_200, 3_000, 3_001, 40_000]
"""Few rows are compared with all edges at once, in words of 64; many with one edge after the other, in blocks."""


def wild(rows: int, seed: int = 1) -> np.ndarray:
    """Numbers, many of them equal to an edge, some missing, some infinite."""
    draw = np.random.default_rng(seed)
    return draw.choice([*EDGES, 0.0, 0.9, 0.900001, -0.1, np.nan, np.inf, -np.inf, *draw.normal(0.3, 0.3, 40)], rows)


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_bins_missing_and_out_of_range_are_those_of_the_definition(rows: int, dtype: type) -> None:
    reference = reference_of({"age": AGES, "pay": numeric([-1, 5.0], [])}, score=numeric([0, 1.0], [0.5]))
    ages, pays, score = wild(rows).astype(dtype), wild(rows, 2).astype(dtype), np.random.default_rng(3).random(rows)
    seen = counted(spec_of(reference=reference), predictions_of(rows, score=score, features={"pay": pays, "age": ages}))
    for name, column, edges in (("age", ages, EDGES), ("pay", pays, ()), ("score", score, (0.5,))):
        exact = column.astype(np.float64)
        expected = [np.count_nonzero(exact <= edge) for edge in edges]
        assert seen.bins("feature_le", feature=name) == [*expected, np.count_nonzero(~np.isnan(exact))]
        assert seen.value("feature_missing", feature=name) == np.count_nonzero(np.isnan(exact))
    for name, column, lowest, highest in (("age", ages, 0.0, 0.9), ("pay", pays, -1.0, 5.0)):
        exact = column.astype(np.float64)
        outside = np.count_nonzero((exact < lowest) | (exact > highest))
        assert seen.value("feature_out_of_range", feature=name) == outside


def test_a_float32_that_is_nearest_to_an_edge_is_on_the_side_where_it_really_is() -> None:
    below, above = np.float32(0.7), np.float32(0.1)  # 0.699999988 and 0.100000001
    seen = counted(
        spec_of(reference=reference_of({"age": AGES})),
        predictions_of(2, features={"age": np.array([below, above], np.float32)}),
    )
    assert seen.bins("feature_le", feature="age") == [0, 1, 1, 2, 2]


def test_the_same_rows_give_the_same_counts_in_small_and_in_large_batches() -> None:
    spec = spec_of(reference=reference_of({"age": AGES}))
    column = wild(5_000)
    small = [predictions_of(500, features={"age": part}) for part in np.split(column, 10)]
    assert (
        counted(spec, *small).text
        == counted(spec, predictions_of(5_000, predicted=None, features={"age": column})).text
    )


def test_numbers_beyond_all_bounds_are_still_numbers() -> None:
    largest = np.finfo(float).max
    reference = reference_of({"age": numeric([-largest, largest], [0.0])})
    column = np.array([largest, -largest, np.inf, -np.inf, 5e-324, -0.0])
    seen = counted(spec_of(reference=reference), predictions_of(6, features={"age": column}))
    assert seen.bins("feature_le", feature="age") == [3, 6]
    assert seen.value("feature_out_of_range", feature="age") == 2


def test_an_infinite_value_is_out_of_any_range() -> None:
    profile = numeric([0.0, 1.0], [0.5]).model_copy(update={"minimum": -np.inf, "maximum": np.inf})
    column = np.array([-np.inf, np.inf, 1e308, -1e308])
    seen = counted(spec_of(reference=reference_of({"age": profile})), predictions_of(4, features={"age": column}))
    assert seen.value("feature_out_of_range", feature="age") == 2


def test_a_column_that_a_batch_lacks_is_missing_in_all_of_its_rows() -> None:
    reference = reference_of({"age": AGES, "pay": AGES, "plan": Categorical(counts={"basic": 3})})
    for rows in (10, 5_000):
        seen = counted(spec_of(reference=reference), predictions_of(rows, features={"age": np.zeros(rows)}))
        assert seen.by("feature", "feature_missing") == {"age": 0, "pay": rows, "plan": rows, "score": 0}
        assert seen.bins("feature_le", feature="pay") == [0] * 5


def test_a_client_that_sends_no_features_at_all_misses_none() -> None:
    seen = counted(spec_of(reference=reference_of({"age": AGES})), predictions_of(10, predicted=coded(*["yes"] * 10)))
    assert seen.by("feature", "feature_missing") == {"age": 0, "score": 0}


def test_categories_beyond_those_of_the_reference_are_other() -> None:
    reference = reference_of({"plan": Categorical(counts={"basic": 3, "gold": 1}, other=2)})
    column = coded("gold", "gold", "basic", "iron", None, "zinc")
    seen = counted(spec_of(reference=reference), predictions_of(6, features={"plan": column}))
    assert seen.by("category", "feature_category", feature="plan") == {"basic": 1, "gold": 2, "other": 2}
    assert seen.value("feature_missing", feature="plan") == 1
    assert seen.all("feature_out_of_range", feature="plan") == []
    assert seen.all("feature_category")[0][0]["ref"] == reference.ref


def test_features_that_only_the_configuration_knows_have_one_bin_or_only_other() -> None:
    spec = spec_of(reference=reference_of({"age": AGES}), features={"pay": "numeric", "plan": "categorical"})
    columns = {"pay": np.array([1.0, np.nan, np.inf]), "plan": coded("gold", None, "iron"), "age": np.zeros(3)}
    seen = counted(spec, predictions_of(3, features=columns))
    assert seen.bins("feature_le", feature="pay", ref="default") == [2]
    assert seen.value("feature_out_of_range", feature="pay") == 1
    assert seen.by("category", "feature_category", feature="plan", ref="default") == {"other": 2}
    assert seen.by("feature", "feature_missing") == {"pay": 1, "age": 0, "score": 0, "plan": 1}


def test_numbers_sent_as_text_and_categories_sent_as_numbers_are_what_the_feature_is() -> None:
    reference = reference_of({"age": AGES, "plan": Categorical(counts={"1": 3})})
    columns = {"age": coded("0.05", "high", None), "plan": np.array([1.0, 2.5, np.nan])}
    seen = counted(spec_of(reference=reference), predictions_of(3, features=columns))
    assert seen.bins("feature_le", feature="age") == [1] * 5
    assert seen.value("feature_missing", feature="age") == 2
    assert seen.by("category", "feature_category", feature="plan") == {"1": 1, "other": 1}
    assert seen.value("feature_missing", feature="plan") == 1


def test_the_score_has_ten_bins_of_its_own_without_a_reference() -> None:
    seen = counted(spec_of(), predictions_of(3, score=np.array([0.1, 0.55, 1.0])))
    assert seen.bins("feature_le", feature="score", ref="default") == [1, 1, 1, 1, 1, 2, 2, 2, 2, 3]


def test_translations_have_no_score() -> None:
    assert counted(spec_of("translation")).all("feature_le") == []


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_an_empty_batch_changes_nothing(kind: str) -> None:
    spec = spec_of(kind, reference=reference_of({"age": AGES, "plan": Categorical(counts={"a": 1})}))
    empty = predictions_of(
        0,
        predicted=coded(),
        score=np.empty(0),
        value=np.empty(0),
        latency=np.empty(0),
        features={"age": np.empty(0), "plan": coded()},
    )
    assert counted(spec, empty).text == counted(spec).text


def test_drift_follows_from_the_counters_and_the_reference_as_from_the_rows() -> None:
    draw = np.random.default_rng(21)
    before, now = draw.normal(0, 1, 4_000), draw.normal(0.3, 1.2, 3_000)
    edges = np.quantile(before, np.linspace(0, 1, 11)[1:-1])
    profile = numeric(before, edges.tolist())
    seen = counted(spec_of(reference=reference_of({"age": profile})), predictions_of(3_000, features={"age": now}))
    le, reference_le = np.array(seen.bins("feature_le", feature="age")), np.array(profile.le)

    distance = np.abs(le / le[-1] - reference_le / reference_le[-1]).max()
    exact = ks_2samp(now, before)
    assert 0 <= exact.statistic - distance <= np.diff(reference_le, prepend=0).max() / 4_000

    shares = [(np.diff(each, prepend=0) + 0.5) / (each[-1] + 5) for each in (le, reference_le)]
    psi = np.sum((shares[0] - shares[1]) * np.log(shares[0] / shares[1]))
    bounds = [-np.inf, *edges, np.inf]
    rows = [(np.histogram(-each, -np.array(bounds)[::-1])[0][::-1] + 0.5) / (len(each) + 5) for each in (now, before)]
    assert psi == pytest.approx(np.sum((rows[0] - rows[1]) * np.log(rows[0] / rows[1])), rel=1e-12)
