"""Durations: how late labels come, how long clients wait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from airbag.exposition import Family
from airbag_exporters.quality.columns import Floats, Outcomes, Predictions
from airbag_exporters.quality.counting import families
from airbag_exporters.quality.counting.block import Block
from airbag_exporters.quality.counting.numbers import Edges
from airbag_exporters.quality.counting.slices import Part
from airbag_exporters.quality.models import Spec

LABEL_DELAYS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0, 604_800.0)
LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper edges of the buckets, in seconds."""


class Durations:
    """Histograms of the label delay and of the latency that clients saw.

    A duration below 0 comes from clocks that differ and counts as 0; one that is unknown or infinite is left out.
    """

    def __init__(self, _spec: Spec) -> None:
        self._delays = _Histogram(families.LABEL_DELAY, LABEL_DELAYS)
        self._latencies = _Histogram(families.CLIENT_LATENCY, LATENCIES)

    def parts(self) -> Iterator[Part]:
        """The series."""
        yield from self._delays.parts()
        yield from self._latencies.parts()

    def predictions(self, block: Block, batch: Predictions) -> None:
        """Count the latencies."""
        if batch.latency is not None:
            self._latencies.count(block, batch.latency)

    def outcomes(self, block: Block, batch: Outcomes) -> None:
        """Count the delays."""
        self._delays.count(block, batch.delay)


class _Histogram:
    def __init__(self, family: Family, upper: Sequence[float]) -> None:
        self._family = family
        self._upper = upper
        self._edges = Edges([*upper, np.inf])

    def parts(self) -> Iterator[Part]:
        labels = (*(repr(edge) for edge in self._upper), "+Inf")
        yield Part(self._family, tuple((label,) for label in labels), suffix="_bucket")
        yield Part(self._family, is_float=True, suffix="_sum")
        yield Part(self._family, suffix="_count")

    def count(self, block: Block, seconds: Floats) -> None:
        known = np.maximum(seconds[np.isfinite(seconds)], 0)
        block.add(self._family, self._edges.at_or_below(known), "_bucket")
        block.add(self._family, len(known), "_count")
        with np.errstate(over="ignore"):  # a sum stops at the largest number
            block.add(self._family, known.sum(), "_sum")
