"""How late labels come, and how many of the predictions get one."""

from __future__ import annotations

from airbag_exporters.rules.promql import VERSION, increase
from airbag_exporters.rules.rule import Record


def labels(w: str) -> list[Record]:
    """Of the labels that came in the window. Needs `labelled` and `predictions` of the same window before it."""
    labelled, predicted = (f"model_version:airbag_quality_{x}:increase{w}" for x in ("labelled", "predictions"))
    buckets = increase(f"{VERSION}, le", "airbag_quality_label_delay_seconds_bucket", w)
    timed = increase(VERSION, "airbag_quality_label_delay_seconds_count", w)
    return [
        Record(
            f"model_version:airbag_quality_label_delay_seconds:p90_{w}",
            f"histogram_quantile(0.9, {buckets}) and {timed} > 0",
        ),
        Record(f"model_version:airbag_quality_labelled_per_prediction:ratio{w}", f"{labelled} / ({predicted} > 0)"),
    ]
