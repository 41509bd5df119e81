"""Cumulative counts at edges, exactly and fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import Floats

Ints = NDArray[np.int64]
Values = NDArray[np.float64] | NDArray[np.float32]

_BLOCK_ROWS = 16_384  # a column of that many stays in the processor's cache while it is compared with every edge


class Edges:
    """Ascending edges, which may be equal. Values may be float64 or float32; either are compared exactly."""

    def __init__(self, edges: Floats | Sequence[float]) -> None:
        exact = np.asarray(edges, np.float64)
        self._by_type: Mapping[Any, NDArray[Any]] = {np.dtype("f8"): exact, np.dtype("f4"): _rounded_down(exact)}
        self._count = len(exact)

    def __len__(self) -> int:
        return self._count

    def places(self, values: Values) -> NDArray[np.intp]:
        """(n,) number of the first edge that is not below the value; the number of edges beyond all, and for NaN."""
        return np.searchsorted(self._by_type[values.dtype], values)

    def at_or_below(self, values: Values) -> Ints:
        """(edges,) how many values are at most as large as each edge; NaN never is.

        Few rows are searched; for thousands one comparison an edge is four to eight times as fast (measured with 13
        and with 50 edges).
        """
        if len(values) > 64 * len(self) + 256:
            return self._compared(values)
        return np.bincount(self.places(values), minlength=len(self) + 1).cumsum()[:-1]

    def _compared(self, values: Values) -> Ints:
        edges = self._by_type[values.dtype]
        counts = np.zeros(len(edges), np.int64)
        for start in range(0, len(values), _BLOCK_ROWS):
            block = values[start : start + _BLOCK_ROWS]
            at_most = np.empty(len(block), np.bool_)
            for number, edge in enumerate(edges):
                counts[number] += np.count_nonzero(np.less_equal(block, edge, out=at_most))
        return counts


def as_values(column: NDArray[Any]) -> Values:
    """Numbers as they are counted: float32 stays, everything else becomes float64."""
    return column if column.dtype == np.float32 else column.astype(np.float64, copy=False)


def _rounded_down(edges: Floats) -> NDArray[np.float32]:
    """The largest float32 that is not above: for every float32 x, x <= edge says the same of both."""
    with np.errstate(over="ignore"):
        nearest = edges.astype(np.float32)
        return np.where(nearest > edges, np.nextafter(nearest, np.float32(-np.inf)), nearest)
