"""How far what comes in is from the reference, and the candidate's from the stable version's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from airbag_exporters.quality.aggregate import arithmetic as the
from airbag_exporters.quality.aggregate.arithmetic import Floats, Groups, Places
from airbag_exporters.quality.aggregate.catalog import FEATURE, MODEL, VERSION, Catalog, Level
from airbag_exporters.quality.aggregate.cells import Cells
from airbag_exporters.quality.aggregate.references import References
from airbag_exporters.quality.aggregate.roles import Roles
from airbag_exporters.quality.aggregate.window import Plan, Window
from airbag_exporters.quality.counting import families

_SHARED = (*MODEL, "feature", "ref")


def feature_level(catalog: Catalog) -> Level:
    """The features that have counters."""
    return catalog.level("model_version_feature", FEATURE, (families.FEATURE_LE.name, families.FEATURE_CATEGORY.name))


@dataclass(frozen=True, eq=False)
class Features:
    """What is counted of all features and what the references say of it, NaN where they say nothing.

    Made anew when series appear, references change, or roles pass on.
    """

    cells: Cells
    share: Floats
    share_le: Floats
    rows: Floats
    bins: Floats
    negentropy: Floats
    missing: Floats
    pairs: Pairs

    @classmethod
    def of(cls, plan: Plan, references: References, roles: Roles) -> Features:
        """Everything in the order of the counters."""
        cells = Cells.of(plan.catalog, families.FEATURE_LE.name, families.FEATURE_CATEGORY.name)
        at = {key: place for place, key in enumerate(references.cells.keys)}
        each = np.array([at.get(key, -1) for key in cells.keys], np.intp)
        whole = cells.level.within(references.cells.level)

        def picked(values: Floats, places: Places) -> Floats:
            return np.append(values, np.nan)[places]

        return cls(
            cells, picked(references.share, each), picked(references.share_le, each),
            picked(references.rows, whole), picked(references.bins, whole), picked(references.negentropy, whole),
            picked(references.missing, whole), Pairs.of(cells, references, roles),
        )  # fmt: skip

    @cached_property
    def each_plain(self) -> Places:
        """(features,) rows of `plain`."""
        return self.cells.level.within(self.plain)

    @cached_property
    def plain(self) -> Level:
        """The features without their reference, as missing values are counted."""
        rows = {row[: len(FEATURE) - 1] for row in self.cells.level.rows}
        return Level("", (*VERSION, "feature"), tuple(sorted(rows)))


@dataclass(frozen=True, eq=False)
class Pairs:
    """Features that the candidate and the stable version of a model count in the same bins.

    `features` (2, pairs) are their rows, `cells` (2, n) those cells that both have.
    """

    level: Level
    features: Places
    cells: Places
    groups: Groups
    bins: Floats

    @classmethod
    def of(cls, cells: Cells, references: References, roles: Roles) -> Pairs:
        """For every model that has both."""
        level, cell_at = cells.level, {key: place for place, key in enumerate(cells.keys)}
        names: dict[tuple[str, ...], tuple[int, int]] = {}
        for model, candidate in roles.candidate.items():
            stable = roles.stable.get(model, ())
            for row in level.rows:
                other = (*stable, *row[len(VERSION) :])
                if row[: len(VERSION)] == candidate and other in level.place:
                    names[(*model, *row[len(VERSION) :])] = (level.place[row], level.place[other])
        pairs = Level("model_feature", _SHARED, tuple(sorted(names)))
        features = np.array([names[row] for row in pairs.rows], np.intp).reshape(-1, 2).T
        by_feature = {feature: number for number, feature in enumerate(features[0].tolist())}
        both = []
        for place, key in enumerate(cells.keys):
            pair = by_feature.get(int(cells.groups.of[place]))
            if pair is not None:
                other_key = (*level.rows[features[1, pair]], key[-1])
                if other_key in cell_at:
                    both.append((pair, place, cell_at[other_key]))
        shared = np.array(sorted(both), np.intp).reshape(-1, 3).T
        bins = np.array([references.bins_of(row) for row in pairs.rows], np.float64)
        return cls(pairs, features, shared[1:], Groups(shared[0], len(pairs)), bins)


def drift(window: Window, features: Features) -> None:
    """The distances of each feature, each with what it is by chance alone beside it."""
    cells, groups = features.cells, features.cells.groups
    level = cells.level
    rows = window.record(level, "feature_rows", "increase", cells.rows(window.totals))
    counts = np.maximum(cells.own(window.totals), 0)
    share = the.smoothed(counts, the.positive(rows), features.bins, groups)
    psi = window.record(level, "psi", "nats", the.psi(share, features.share, groups))
    psi_floor = the.psi_noise_floor(features.bins, rows, features.rows)
    window.record(level, "psi", "noise_floor", psi_floor)
    window.record(level, "psi", "significant", the.psi_significant(psi, psi_floor, rows))
    le = np.where(cells.numeric, window.totals[cells.at], np.nan)
    ks = window.record(level, "ks", "distance", the.ks_distance(le, rows, features.share_le, groups))
    ks_floor = np.where(np.isnan(ks), np.nan, the.ks_noise_floor(rows, features.rows))
    window.record(level, "ks", "noise_floor", ks_floor)
    window.record(level, "ks", "significant", the.ks_significant(ks, ks_floor, rows))
    window.record(level, "js", "nats", the.jensen_shannon(share, features.share, features.negentropy, groups))
    _holes(window, features, rows)
    _canary(window, features.pairs, share, rows)


def _holes(window: Window, features: Features, rows: Floats) -> None:
    """Values that are missing, or beyond what the reference has seen."""
    level = features.cells.level
    each = features.each_plain
    missing = window.sum(features.plain, families.FEATURE_MISSING.name)[each]
    beyond = window.sum(features.plain, families.OUT_OF_RANGE.name)[each]
    seen = rows + missing
    ratio = window.record(level, "missing", "ratio", the.ratio(missing, seen))
    more = window.record(level, "missing", "difference", ratio - features.missing)
    doubt = the.share_difference_stderr(ratio, seen, features.missing, features.rows)
    window.record(level, "missing", "significant", the.missing_significant(more, doubt, seen))
    window.record(level, "out_of_range", "ratio", the.ratio(beyond, rows))


def _canary(window: Window, pairs: Pairs, share: Floats, rows: Floats) -> None:
    """PSI between two versions, which needs no reference but its bins."""
    candidate, stable = share[pairs.cells]
    window.record(pairs.level, "canary_psi", "nats", the.psi(candidate, stable, pairs.groups))
    floor = the.psi_noise_floor(pairs.bins, *rows[pairs.features])
    window.record(pairs.level, "canary_psi", "noise_floor", floor)
