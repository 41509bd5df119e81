"""MAE, RMSE, bias and R2 follow from the counters as scikit-learn computes them from the rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from tests.exporters.quality.counted import Seen, block_of, counted, outcomes_of, predictions_of, reference_of, spec_of


def r2(seen: Seen) -> float:
    """1 - the share of the variance that is left."""
    rows = seen.value("labelled", correct="")
    signs = seen.by("sign", "target")
    mean = (signs["positive"] - signs["negative"]) / rows
    variance = seen.value("target_squared") - rows * mean**2
    return 1 - seen.value("squared_error") / variance


@pytest.mark.parametrize("center", [0.0, 1_000.0])
def test_errors_are_those_of_scikit_learn(center: float) -> None:
    draw = np.random.default_rng(3)
    target = draw.normal(1_000, 30, 5_000)
    value = target + draw.normal(2, 10, 5_000)
    spec = spec_of("regression", reference=reference_of(target_mean=center))
    seen = counted(spec, outcomes_of(5_000, value=value, target=target))
    rows = seen.value("labelled", correct="")
    assert seen.value("absolute_error") / rows == pytest.approx(mean_absolute_error(target, value), rel=1e-12)
    assert (seen.value("squared_error") / rows) ** 0.5 == pytest.approx(
        root_mean_squared_error(target, value), rel=1e-12
    )
    signs = seen.by("sign", "error")
    assert (signs["positive"] - signs["negative"]) / rows == pytest.approx((value - target).mean(), rel=1e-9)
    assert r2(seen) == pytest.approx(r2_score(target, value), rel=1e-9)


def test_the_mean_of_the_reference_saves_the_digits_of_far_away_targets() -> None:
    draw = np.random.default_rng(4)
    target = 1e9 + draw.normal(0, 1, 4_000)
    value = target + draw.normal(0, 0.5, 4_000)
    batch = outcomes_of(4_000, value=value, target=target)
    centered = counted(spec_of("regression", reference=reference_of(target_mean=1e9)), batch)
    assert r2(centered) == pytest.approx(r2_score(target, value), rel=1e-6)


def test_rows_without_two_finite_numbers_are_left_out_everywhere() -> None:
    spec = spec_of("regression", segments={"region": ("north",)})
    value = np.array([1.0, np.nan, 2.0, np.inf, 1e200, -1e308])
    target = np.array([2.0, 1.0, np.nan, 1.0, 1.0, 1e308])
    segment = {"region": np.zeros(6, np.intp)}
    seen = counted(spec, outcomes_of(6, segment, value=value, target=target))
    assert seen.value("labelled", correct="") == seen.value("segment_labelled", value="north") == 1
    assert seen.value("absolute_error") == seen.value("squared_error") == 1
    assert seen.value("segment_absolute_error", value="north") == 1
    assert seen.value("label_delay_seconds_count") == 1


def test_a_sum_stops_at_the_largest_number() -> None:
    spec = spec_of("regression")
    rows = outcomes_of(4, value=np.full(4, 1e154), target=np.zeros(4))
    block = block_of(spec, rows, rows)
    assert np.isfinite(block.floats).all()
    assert Seen(block).value("squared_error") == np.finfo(float).max


def test_what_was_predicted_is_the_feature_score() -> None:
    spec = spec_of("regression")
    seen = counted(spec, predictions_of(3, value=np.array([0.05, 0.95, np.nan])))
    assert seen.bins("feature_le", feature="score")[0] == 1
    assert seen.bins("feature_le", feature="score")[-1] == 2
    assert seen.value("feature_missing", feature="score") == 1
