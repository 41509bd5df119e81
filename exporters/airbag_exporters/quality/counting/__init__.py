"""Counters of model quality in numpy arrays: what series there are, and how batches are counted into them."""

from airbag_exporters.quality.counting.block import RESULTS, Block, merged
from airbag_exporters.quality.counting.count import count_outcomes, count_predictions
from airbag_exporters.quality.counting.layout import Layout, ModelLayout, ModelSeries, series, series_per_version

__all__ = [
    "RESULTS",
    "Block",
    "Layout",
    "ModelLayout",
    "ModelSeries",
    "count_outcomes",
    "count_predictions",
    "merged",
    "series",
    "series_per_version",
]
