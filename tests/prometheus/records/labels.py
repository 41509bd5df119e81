"""How late labels come and how many predictions get one, against numpy."""

from __future__ import annotations

import numpy as np

from tests.prometheus.records.promtool import Case, Counts, Sample, replayed, series
from tests.prometheus.records.rows import version

_EDGES = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0, 604800.0)
_LABELLED = 300


def case() -> Case:
    """Three quarters of the predictions are labelled, most within minutes; another version has no label yet."""
    of, delays = version("digits"), np.random.default_rng(11).lognormal(4, 1.5, _LABELLED)

    def count(rows: np.ndarray) -> Counts:
        labelled = rows[rows < _LABELLED]
        found = _counts(of, len(rows), delays[labelled])
        return found | _counts(version("digits", 4), len(rows), np.array([]))

    name = "model_version:airbag_quality_label_delay_seconds:p90_5m"
    exact = float(np.quantile(delays, 0.9))
    place = int(np.searchsorted(_EDGES, exact))
    low, high = _EDGES[place - 1], _EDGES[place]
    below, inside = (delays <= low).sum(), ((delays > low) & (delays <= high)).sum()
    expected = [
        Sample(name, of, low + (high - low) * (0.9 * _LABELLED - below) / inside, tolerance=1e-6),
        Sample(name, of, exact, tolerance=high - low),
        Sample("model_version:airbag_quality_labelled_per_prediction:ratio5m", of, 0.75),
        Sample("model_version:airbag_quality_labelled_per_prediction:ratio5m", version("digits", 4), 0),
    ]
    return Case(replayed(count, 400), expected)


def _counts(of: dict[str, str], predictions: int, delays: np.ndarray) -> Counts:
    texts = {edge: str(edge) for edge in _EDGES} | {np.inf: "+Inf"}
    buckets = {
        series("airbag_quality_label_delay_seconds_bucket", **of, le=le): float((delays <= edge).sum())
        for edge, le in texts.items()
    }
    return buckets | {
        series("airbag_quality_label_delay_seconds_count", **of): float(len(delays)),
        series("airbag_quality_labelled_total", **of, correct="true"): float(len(delays)),
        series("airbag_quality_predictions_total", **of, predicted="0"): float(predictions),
    }
