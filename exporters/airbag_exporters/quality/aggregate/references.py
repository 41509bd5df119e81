"""The references that the replicas show, as one, and whether they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from airbag_exporters.quality.aggregate import arithmetic as the
from airbag_exporters.quality.aggregate.arithmetic import Flags, Floats
from airbag_exporters.quality.aggregate.catalog import FEATURE, MODEL, Catalog, Key, Level, Table
from airbag_exporters.quality.aggregate.cells import Cells
from airbag_exporters.quality.aggregate.window import Record
from airbag_exporters.quality.render import reference as page

LABELS: Mapping[str, tuple[str, ...]] = {
    family.name: family.labels for family in (page.LE, page.CATEGORY, page.MISSING)
}


@dataclass(frozen=True, eq=False)
class References:
    """Of all replicas. `share` and `share_le` (cells,) are those of a cell and of all up to it; the rest is by feature.

    `differ` (features,) where replicas show different counts.
    """

    cells: Cells
    share: Floats
    share_le: Floats
    rows: Floats
    bins: Floats
    negentropy: Floats
    missing: Floats
    differ: Flags

    @classmethod
    def of(cls, tables: Sequence[Table]) -> References:
        """From what each replica shows."""
        catalog = Catalog((key for table in tables for key in table.keys), LABELS)
        most, least = np.full(len(catalog), -np.inf), np.full(len(catalog), np.inf)
        for table in tables:
            places = catalog.places(table.keys)
            most[places] = np.maximum(most[places], table.values)
            least[places] = np.minimum(least[places], table.values)
        cells = Cells.of(catalog, page.LE.name, page.CATEGORY.name)
        rows, groups = cells.rows(most), cells.groups
        bins = groups.sum(np.ones(len(cells.keys)))
        share = the.smoothed(cells.own(most), rows, bins, groups)
        differ = groups.any((most - least)[cells.at] > 0)
        share_le = most[cells.at] / rows[groups.of]
        at = catalog.places([(page.MISSING.name, *row) for row in cells.level.rows])
        missing = np.append(most, np.nan)[at]
        return cls(cells, share, share_le, rows, bins, the.negentropy(share, groups), missing, differ)

    def records(self, counted: Level) -> list[Record]:
        """What is known of each reference, and whether it is one: `counted` are the features that have counters.

        Replicas whose bins differ count a feature of one version under several `ref`.
        """
        level = self.cells.level
        everywhere = Level(level.name, FEATURE, tuple(sorted({*level.rows, *counted.rows})))
        several = _several(counted)
        differ = {row for row, does in zip(level.rows, self.differ, strict=True) if does}
        mismatch = np.array([float(row in differ or row in several) for row in everywhere.rows])
        name = f"{level.name}:airbag_quality_reference"
        return [
            Record(f"{name}:bins", level, self.bins),
            Record(f"{name}:rows", level, self.rows),
            Record(f"{name}:negentropy", level, self.negentropy),
            Record(f"{name}:mismatch", everywhere, mismatch),
        ]

    def bins_of(self, shared: Key) -> float:
        """The bins that a feature has in any version; `shared` are its labels without the version."""
        return self._bins_by_shared.get(shared, float("nan"))

    @cached_property
    def _bins_by_shared(self) -> Mapping[Key, float]:
        found: dict[Key, float] = {}
        for row, bins in zip(self.cells.level.rows, self.bins.tolist(), strict=True):
            shared = (*row[: len(MODEL)], *row[-2:])
            found[shared] = max(found.get(shared, bins), bins)
        return found


def _several(counted: Level) -> frozenset[Key]:
    """The features that are counted under several `ref`."""
    refs: dict[Key, list[Key]] = {}
    for row in counted.rows:
        refs.setdefault(row[:-1], []).append(row)
    return frozenset(row for rows in refs.values() if len(rows) > 1 for row in rows)
