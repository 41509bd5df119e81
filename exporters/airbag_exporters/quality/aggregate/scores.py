"""What the scores of each version say: AUC with its error bound, calibration, log loss and Brier score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airbag_exporters.quality.aggregate import arithmetic as the
from airbag_exporters.quality.aggregate.arithmetic import Floats, Groups, Places
from airbag_exporters.quality.aggregate.catalog import VERSION, Level
from airbag_exporters.quality.aggregate.window import Plan, Window
from airbag_exporters.quality.counting import families

_BY = (*VERSION, "ref")


@dataclass(frozen=True, eq=False)
class ScoreCells:
    """The bins that the scores of versions fall into.

    Each pair of places (2, cells) holds a cumulative count and the one of the bin before. `has_sums` is 1, and NaN for
    cells whose scores are not summed.
    """

    positives: Places
    negatives: Places
    sums: Places
    has_sums: Floats
    by_ref: Groups
    version_of_ref: Groups

    @classmethod
    def of(cls, plan: Plan) -> ScoreCells:
        """Those of every version."""
        pairs = plan.catalog.each_bin(families.SCORE_LE.name, (*_BY, "actual"))
        sums = plan.catalog.each_bin(families.SCORE_SUM_LE.name, _BY)
        # An actual class stands behind the labels `_BY`, `prev` behind that.
        cells = sorted((*cell[:4], cell[5]) for cell in pairs if cell[4] == "1" and (*cell[:4], "0", cell[5]) in pairs)
        refs = Level("", _BY, tuple(dict.fromkeys(cell[:4] for cell in cells)))
        return cls(
            _pairs([pairs[(*cell[:4], "1", cell[4])] for cell in cells]),
            _pairs([pairs[(*cell[:4], "0", cell[4])] for cell in cells]),
            _pairs([sums.get(cell, (0, 0)) for cell in cells]),
            np.array([1.0 if cell in sums else np.nan for cell in cells]),
            Groups(np.array([refs.place[cell[:4]] for cell in cells], np.intp), len(refs)),
            refs.groups(plan.versions),
        )


def _pairs(places: list[tuple[int, int]]) -> Places:
    return np.array(places, np.intp).reshape(-1, 2).T


def scores(window: Window, cells: ScoreCells) -> None:
    """AUC, and what probabilities are worth."""
    versions = window.plan.versions
    own, own_negative = (np.maximum(_own(window, places), 0) for places in (cells.positives, cells.negatives))
    _auc(window, cells, own, own_negative)
    scored = window.record(versions, "scored", "increase", window.sum(versions, families.SCORED.name))
    losses, squares = (window.sum(versions, each.name) for each in (families.LOG_LOSS, families.SQUARED_ERROR))
    window.record(versions, "log_loss", "nats", the.ratio(losses, scored))
    window.record(versions, "brier", "mean", the.ratio(squares, scored))
    off = np.abs(own - _own(window, cells.sums)) * cells.has_sums
    off_by_version = the.present_sum(cells.version_of_ref, the.present_sum(cells.by_ref, off))
    window.record(versions, "ece", "ratio", the.ratio(off_by_version, scored))


def _auc(window: Window, cells: ScoreCells, own: Floats, own_negative: Floats) -> None:
    """Trapezoids, and half of the pairs that share a bin. Rows of different bins are not compared with each other."""
    versions = window.plan.versions
    by_ref, by_version = cells.by_ref, cells.version_of_ref
    ranked = window.plan.of_kind("binary", "ranking")
    positives, negatives = by_ref.sum(own), by_ref.sum(own_negative)
    pairs = by_version.sum(positives * negatives)
    below = 2 * window.totals[cells.negatives[0]] - own_negative
    auc = the.ratio(0.5 * by_version.sum(by_ref.sum(own * below)), pairs) * ranked
    bound = the.ratio(0.5 * by_version.sum(by_ref.sum(own * own_negative)), pairs) * ranked
    window.record(versions, "auc", "ratio", auc)
    window.record(versions, "auc", "error_bound", bound)
    doubt = the.hanley_mcneil_stderr(auc, by_version.sum(positives), by_version.sum(negatives))
    window.record(versions, "auc", "stderr", doubt)


def _own(window: Window, places: Places) -> Floats:
    counts: Floats = window.totals[places[0]] - window.totals[places[1]]
    return counts
