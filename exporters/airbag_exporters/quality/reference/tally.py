"""What there is to know of columns before their bins are known, and the exact counts in those bins."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from airbag_exporters.quality.columns import OTHER, Coded, Floats, Keys
from airbag_exporters.quality.reference.sample import Sample
from airbag_exporters.quality.reference.value import CATEGORY_MAX, Categorical, Numeric

DIFFERENT_MAX = 200_000
"""A column of more different texts holds ids, not categories."""


class NumberSurvey:
    """The first look at a numeric column: a sample of it."""

    def __init__(self, size: int) -> None:
        self.sample = Sample(size)

    def add(self, values: Floats, keys: Keys) -> None:
        """Some more rows."""
        self.sample.add(values, keys)

    def problem(self) -> str:
        """Why no bins can be made of it, if so."""
        return "" if self.sample.seen else "has no finite value"


class ExactSum:
    """A sum of floats that does not depend on their order: three doubles whose sum is exact to some 150 bits."""

    def __init__(self) -> None:
        self._parts: list[float] = []
        self.count = 0

    def add(self, values: Floats) -> None:
        """Finite values; OverflowError beyond the range of doubles."""
        rest = [*self._parts, *values.tolist()]
        self._parts = []
        for _ in range(3):
            part = math.fsum([*rest, *(-each for each in self._parts)])
            self._parts.append(part)
        self.count += len(values)

    def mean(self) -> float:
        """Their mean; 0 without values."""
        return math.fsum(self._parts) / self.count if self.count else 0.0


class TextSurvey:
    """The first look at a categorical column: how often each text occurs."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, values: Coded) -> None:
        """Some more rows; texts beyond DIFFERENT_MAX different ones are no longer looked at."""
        if len(self._counts) <= DIFFERENT_MAX:
            self._counts.update(_counted(values))

    def problem(self) -> str:
        """Why no categories can be made of it, if so."""
        if len(self._counts) > DIFFERENT_MAX:
            return f"has more than {DIFFERENT_MAX} different texts, which are no categories"
        return "" if self._counts else "has only missing values"

    def top(self, most: int) -> list[str]:
        """The most frequent texts, equally frequent ones in their order.

        Not the empty one, nor one that is called `other`, nor one of more than CATEGORY_MAX characters: these cannot
        be told apart as labels of a series, and are counted as `other`.
        """
        named = [
            (text, count) for text, count in self._counts.items() if text != OTHER and 0 < len(text) <= CATEGORY_MAX
        ]
        return [text for text, _ in sorted(named, key=lambda each: (-each[1], each[0]))[:most]]


def _counted(values: Coded) -> dict[str, int]:
    counts = np.bincount(values.codes + 1, minlength=len(values.values) + 1)[1:].tolist()
    found: Counter[str] = Counter()
    for text, count in zip(values.values, counts, strict=True):
        if count:
            found[text] += count
    return found


class NumberTally:
    """Exact counts in given bins. Infinities fall in the outer ones and do not move minimum and maximum."""

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges = edges
        self._edges = np.array(edges, dtype=np.float64)
        self._counts = np.zeros(len(edges) + 1, dtype=np.int64)
        self._missing = 0
        self._minimum, self._maximum = math.inf, -math.inf
        self.infinite = 0

    def add(self, values: Floats) -> None:
        """Some more rows."""
        present = values[~np.isnan(values)]
        self._missing += len(values) - len(present)
        bins = np.searchsorted(self._edges, present, side="left")  # `x <= edge`
        self._counts += np.bincount(bins, minlength=len(self._counts))
        finite = present[np.isfinite(present)]
        self.infinite += len(present) - len(finite)
        if len(finite):
            self._minimum = min(self._minimum, float(finite.min()) + 0.0)
            self._maximum = max(self._maximum, float(finite.max()) + 0.0)

    def problem(self) -> str:
        """Why it makes no profile, if so."""
        return "" if self._minimum <= self._maximum else "has no finite value"

    def profile(self) -> Numeric:
        """What was counted."""
        le = tuple(np.cumsum(self._counts).tolist())
        return Numeric(edges=self.edges, le=le, missing=self._missing, minimum=self._minimum, maximum=self._maximum)


class TextTally:
    """Exact counts of given categories; all others are `other`."""

    def __init__(self, categories: list[str]) -> None:
        self._counts = dict.fromkeys(categories, 0)
        self._other = 0
        self._missing = 0

    def add(self, values: Coded) -> None:
        """Some more rows."""
        self._missing += int(np.count_nonzero(values.codes < 0))
        for text, count in _counted(values).items():
            if text in self._counts:
                self._counts[text] += count
            else:
                self._other += count

    def problem(self) -> str:
        """Why it makes no profile, if so."""
        return "" if self._other or any(self._counts.values()) else "has only missing values"

    def profile(self) -> Categorical:
        """What was counted."""
        return Categorical(counts=self._counts, other=self._other, missing=self._missing)
