"""Where the bins of a numeric column end."""

from __future__ import annotations

import numpy as np

from airbag_exporters.quality.columns import Floats


def edges(values: Floats, bins: int) -> tuple[float, ...]:
    """The inner edges of at most `bins` bins with equally many of the ascending, finite `values`.

    Each bin ends half-way between a quantile and the next value, so that a value which comes back as float32 falls
    where it fell before; a value equal to an edge belongs below. Up to `bins` different values have a bin each.
    Quantiles that coincide make one edge, and nothing lies above the greatest value, so that a constant has none.
    """
    different = np.unique(values)
    if len(different) <= bins:
        below = np.arange(max(len(different) - 1, 0))
    else:
        quantiles = np.quantile(values, np.arange(1, bins) / bins, method="inverted_cdf")
        below = np.unique(np.searchsorted(different, quantiles))
        below = below[below < len(different) - 1]
    return tuple(_between(different[below], different[below + 1]).tolist())


def _between(left: Floats, right: Floats) -> Floats:
    """Half-way, or `left` where doubles have nothing between the two."""
    middle = left / 2 + right / 2  # the sum of both could overflow
    inside = (left <= middle) & (middle < right)
    return np.where(inside, middle, left) + 0.0
