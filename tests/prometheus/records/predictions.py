"""Both entropies, against scipy."""

from __future__ import annotations

import numpy as np
from scipy.stats import entropy

from tests.prometheus.records.promtool import Case, Counts, Sample, replayed, series
from tests.prometheus.records.rows import count_classes, multiclass, version


def case() -> Case:
    """Wine, and a model of which only numbers are known."""
    of, wine = version("three"), multiclass()
    each = entropy(wine.probabilities, axis=1)
    known = np.arange(len(each)) % 3 > 0  # the others came without probabilities

    def count(rows: np.ndarray) -> Counts:
        return {
            **count_classes(of, wine.predicted[rows], wine.actual[rows], wine.classes),
            series("airbag_quality_prediction_entropy_nats_total", **of): float(each[rows][known[rows]].sum()),
            series("airbag_quality_prediction_entropy_rows_total", **of): float(known[rows].sum()),
            series("airbag_quality_predictions_total", **version("numbers"), predicted=""): float(len(rows)),
        }

    shares = np.unique(wine.predicted, return_counts=True)[1] / len(each)
    return Case(
        replayed(count, len(each)),
        [
            Sample("model_version:airbag_quality_predictions:increase5m", of, len(each)),
            Sample("model_version:airbag_quality_predictions:increase5m", version("numbers"), len(each)),
            Sample("model_version:airbag_quality_prediction_class_entropy:nats5m", of, entropy(shares)),
            Sample("model_version:airbag_quality_prediction_entropy:mean_nats5m", of, each[known].mean()),
        ],
    )
