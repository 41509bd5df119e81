"""Segments, label delays and latencies."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.exporters.quality.counted import Seen, classified, coded, counted, outcomes_of, predictions_of, spec_of

REGIONS = {"region": ("north", "süd"), "plan": ("gold", "other")}


def test_predictions_are_counted_by_every_segment() -> None:
    columns = {"region": coded("north", "east", None, "süd"), "plan": coded("gold", "other", "iron", "gold")}
    seen = counted(spec_of(segments=REGIONS), predictions_of(4, segments=columns), predictions_of(2))
    assert seen.by("value", "segment_predictions", segment="region") == {"north": 1, "süd": 1, "other": 4}
    assert seen.by("value", "segment_predictions", segment="plan") == {"gold": 2, "other": 4}


def test_right_and_wrong_answers_are_counted_by_every_segment() -> None:
    spec = spec_of(segments=REGIONS)
    numbers = {"region": np.array([0, 0, 2, 1]), "plan": np.array([0, 1, 2, 2])}
    seen = counted(spec, classified(spec, ["yes"] * 4, ["yes", "no", "no", "yes"], segments=numbers))
    assert seen.by("value", "segment_labelled", segment="region", correct="true") == {"north": 1, "süd": 1, "other": 0}
    assert seen.by("value", "segment_labelled", segment="region", correct="false") == {"north": 1, "süd": 0, "other": 1}
    assert seen.by("value", "segment_labelled", segment="plan", correct="true") == {"gold": 1, "other": 1}


def test_a_regression_sums_its_errors_by_segment() -> None:
    spec = spec_of("regression", segments={"region": ("north",)})
    batch = outcomes_of(
        3, {"region": np.array([0, 1, 0])}, value=np.array([1.0, 5, 2]), target=np.array([2.0, 5.5, 2.25])
    )
    seen = counted(spec, batch)
    assert seen.by("value", "segment_absolute_error") == {"north": 1.25, "other": 0.5}
    assert seen.by("value", "segment_labelled", correct="") == {"north": 2, "other": 1}


def test_a_model_without_segments_has_no_series_of_them() -> None:
    assert counted(spec_of()).all("segment_predictions") == []


def histogram(seen: Seen, name: str) -> dict[float, float]:
    return {float(edge): value for edge, value in seen.by("le", f"{name}_bucket").items()}


@pytest.mark.parametrize("rows", [200, 20_000])
def test_label_delays_fall_into_the_buckets_up_to_their_edge(rows: int) -> None:
    delay = np.random.default_rng(1).choice([0.0, 1.0, 1.0001, 60.0, 86_400.0, 1e7], rows)
    seen = counted(spec_of("ranking"), outcomes_of(rows, delay=delay, score=np.zeros(rows), target=np.zeros(rows)))
    buckets = histogram(seen, "label_delay_seconds")
    assert list(buckets) == [1, 5, 15, 60, 300, 900, 3600, 14400, 43200, 86400, 604800, math.inf]
    assert buckets == {edge: np.count_nonzero(delay <= edge) for edge in buckets}
    assert seen.value("label_delay_seconds_count") == rows
    assert seen.value("label_delay_seconds_sum") == pytest.approx(delay.sum())


def test_a_label_that_clocks_put_before_its_prediction_had_no_delay() -> None:
    delay = [-3600.0, 2.0, math.nan, math.inf]
    seen = counted(spec_of("ranking"), outcomes_of(4, delay=delay, score=np.zeros(4), target=np.zeros(4)))
    assert histogram(seen, "label_delay_seconds")[1.0] == 1
    assert seen.value("label_delay_seconds_count") == 2
    assert seen.value("label_delay_seconds_sum") == 2.0


def test_latencies_that_clients_saw_are_a_histogram() -> None:
    seen = counted(spec_of(), predictions_of(3, latency=np.array([0.001, 0.3, np.nan])), predictions_of(2))
    buckets = histogram(seen, "client_latency_seconds")
    assert list(buckets) == [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, math.inf]
    assert (buckets[0.001], buckets[0.25], buckets[0.5], buckets[math.inf]) == (1, 1, 2, 2)
    assert seen.value("client_latency_seconds_sum") == pytest.approx(0.301)
