"""What a batch gives for one version, in columns, before it is judged by the kind of the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import Coded, Floats, Keys, Owner
from airbag_exporters.quality.decode.columns import Column, Rows
from airbag_exporters.quality.models import Spec

Mask = NDArray[np.bool_]
FUTURE_MAX = 86_400.0
"""How many seconds a time may lie ahead of our clock; beyond, its unit is wrong rather than the clock."""


@dataclass(frozen=True)
class Ids:
    """Hashed ids (n,), and which rows have one; None when all have."""

    keys: Keys
    known: Mask | None = None


@dataclass(frozen=True)
class Given:
    """Columns of n entries; None, or not among `features` and `segments`, when no row has such a value.

    `rows` are the numbers of the rows in the batch, from 0. `features` and `segments` are the known ones only; texts
    may still stand where numbers are wanted. `featured` says which rows gave features at all, None when all did.
    `scores` (n, classes) are NaN in rows without.
    """

    spec: Spec
    owner: Owner
    rows: Rows
    ids: Ids | None = None
    predicted: Column | None = None
    score: Floats | None = None
    scores: Floats | None = None
    features: Mapping[str, Column] = field(default_factory=dict)
    featured: Mask | None = None
    segments: Mapping[str, Coded] = field(default_factory=dict)
    latency: Floats | None = None
    at: Floats | None = None
    actual: Column | None = None
