"""What decoding gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from airbag_exporters.quality.columns import Predictions


@dataclass(frozen=True)
class Decoded:
    """A batch of predictions: one part a version and set of columns, `rows` in all.

    `unknown_features` counts, by serving and model, the values of features and segments that neither configuration nor
    reference name; they were left out.
    """

    parts: Sequence[Predictions] = ()
    unknown_features: Counter[tuple[str, str]] = field(default_factory=Counter)
    rows: int = 0
