"""The bins and categories of all features in one row, so that one pass over arrays serves them all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from airbag_exporters.quality.aggregate.arithmetic import Flags, Floats, Groups, Places
from airbag_exporters.quality.aggregate.catalog import FEATURE, Catalog, Key, Level


@dataclass(frozen=True, eq=False)
class Cells:
    """Sorted by feature; `keys` are the labels of the feature and the name of the bin before, or of the category.

    `at` and `before` are the places of a bin's cumulative count and of the one before it; a category's count is its
    own, and `before` is -1.
    """

    level: Level
    keys: tuple[Key, ...]
    groups: Groups
    at: Places
    before: Places

    @classmethod
    def of(cls, catalog: Catalog, le: str, category: str) -> Cells:
        """From the cumulative and the categorical family of that name."""
        level = catalog.level("model_version_feature", FEATURE, (le, category))
        bins = catalog.each_bin(le, FEATURE)
        categories = {key: (place, -1) for key, place in catalog.find(category).rows}
        cells = sorted([*bins.items(), *categories.items()])
        places = np.array([place for _, place in cells], np.intp).reshape(-1, 2)
        of = np.array([level.place[key[: len(FEATURE)]] for key, _ in cells], np.intp)
        return cls(level, tuple(key for key, _ in cells), Groups(of, len(level)), places[:, 0], places[:, 1])

    @cached_property
    def numeric(self) -> Flags:
        """(cells,) which are bins."""
        return self.before >= 0

    def own(self, totals: Floats) -> Floats:
        """(cells,) how many values fell into each."""
        counts: Floats = totals[self.at] - np.append(totals, 0.0)[self.before]
        return counts

    def rows(self, totals: Floats) -> Floats:
        """(features,) how many values were not missing: the last cumulative count, or the sum of the categories."""
        counts = totals[self.at]
        return self.groups.max(np.where(self.numeric, counts, 0)) + self.groups.sum(np.where(self.numeric, 0, counts))
