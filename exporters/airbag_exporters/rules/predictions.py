"""What is predicted, before any label is known."""

from __future__ import annotations

from airbag_exporters.rules.promql import VERSION, increase
from airbag_exporters.rules.rule import Record


def predictions(w: str) -> list[Record]:
    """Two entropies: of the mix of predicted classes, and the mean of each prediction's own."""
    by_class = f"model_version_predicted:airbag_quality_predictions:increase{w}"
    rows = f"model_version:airbag_quality_predictions:increase{w}"
    share = f"model_version_predicted:airbag_quality_predictions:ratio{w}"
    entropy = increase(VERSION, "airbag_quality_prediction_entropy_nats_total", w)
    with_probabilities = increase(VERSION, "airbag_quality_prediction_entropy_rows_total", w)
    return [
        Record(by_class, increase(f"{VERSION}, predicted", "airbag_quality_predictions_total", w)),
        Record(rows, f"sum by ({VERSION}) ({by_class})"),
        Record(share, f'{by_class}{{predicted!=""}} / on ({VERSION}) group_left () ({rows} > 0)'),
        Record(
            f"model_version:airbag_quality_prediction_class_entropy:nats{w}",
            f"sum by ({VERSION}) (({share} > 0) * ln(1 / ({share} > 0)))",
        ),
        Record(
            f"model_version:airbag_quality_prediction_entropy:mean_nats{w}",
            f"{entropy} / ({with_probabilities} > 0)",
        ),
    ]
