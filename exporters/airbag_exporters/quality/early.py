"""Labels that come before their predictions: how they wait, and how they are met."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import Coded, Floats, Labels, class_name

_LABEL = tuple[str | float, float]  # what was true, and when that was known
_decoder = msgspec.msgpack.Decoder(_LABEL)


def packed(labels: Labels, items: NDArray[np.intp]) -> dict[int, bytes]:
    """By key, what a ledger keeps of these labels of a batch."""
    taken = labels.actual.take(items) if isinstance(labels.actual, Coded) else labels.actual[items]
    values: Sequence[str | float]
    values = [taken.values[code] for code in taken.codes.tolist()] if isinstance(taken, Coded) else taken.tolist()
    rows = zip(labels.keys[items].tolist(), values, labels.at[items].tolist(), strict=True)
    return {key: msgspec.msgpack.encode((value, at)) for key, value, at in rows}


def unpacked(kept: Sequence[bytes]) -> tuple[Coded | Floats, Floats]:
    """What was true (n,) and when, in epoch seconds (n,), of labels that waited."""
    rows = [_decoder.decode(data) for data in kept]
    at = np.array([row[1] for row in rows])
    if any(isinstance(row[0], str) for row in rows):
        return Coded.of([class_name(row[0]) for row in rows]), at
    return np.array([row[0] for row in rows], dtype=np.float64), at
