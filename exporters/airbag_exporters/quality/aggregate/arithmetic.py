"""The formulas, on arrays. NaN means that there is no such series; nothing here divides by 0 or takes a root below 0.

They are those of the recording rules, number for number; `rules` says where each comes from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.noise import FLOORS, KS_CRITICAL, ROWS_MIN, SMOOTHING, STANDARD_ERRORS

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Groups:
    """Which of `count` groups each of n cells belongs to; for `max`, `of` (n,) must not fall."""

    of: Places
    count: int

    def sum(self, cells: Floats) -> Floats:
        """(count,) sums; 0 for a group without cells."""
        return np.bincount(self.of, cells, self.count).astype(np.float64, copy=False)

    def max(self, cells: Floats) -> Floats:
        """(count,) largest cells; NaN for a group without cells."""
        largest = np.full(self.count, np.nan)
        present, starts = np.unique(self.of, return_index=True)
        if len(present):
            largest[present] = np.maximum.reduceat(cells, starts)
        return largest

    def any(self, cells: Flags) -> Flags:
        """(count,) whether a cell of the group is true."""
        return self.sum(cells.astype(np.float64)) > 0


def ratio(part: Floats, whole: Floats) -> Floats:
    """part / whole where `whole` is above 0."""
    return part / positive(whole)


def positive(values: Floats) -> Floats:
    """The values above 0."""
    return np.where(values > 0, values, np.nan)


def root(values: Floats) -> Floats:
    """The square root. Sums of fractions differ in their last digit, and the root of a hair below 0 is NaN."""
    return np.sqrt(np.maximum(values, 0))


def share_stderr(share: Floats, rows: Floats) -> Floats:
    """The standard error of a share."""
    return root(share * (1 - share) / positive(rows))


def agresti_caffo_stderr(share: Floats, rows: Floats) -> Floats:
    """Of a share with one more success and one more failure, which keeps 0 % and 100 % from looking certain (2000)."""
    padded = (share * rows + 1) / (rows + 2)
    return np.sqrt(padded * (1 - padded) / (rows + 2))


def f1(tp: Floats, predicted: Floats, actual: Floats) -> Floats:
    """Of each class."""
    return 2 * ratio(tp, predicted + actual)


def present_sum(groups: Groups, cells: Floats) -> Floats:
    """(count,) sums of the cells that there are; NaN for a group of which there is none."""
    there = ~np.isnan(cells)
    return np.where(groups.any(there), groups.sum(np.where(there, cells, 0)), np.nan)


def present_count(groups: Groups, cells: Floats) -> Floats:
    """(count,) how many cells there are; NaN for none."""
    return positive(groups.sum((~np.isnan(cells)).astype(np.float64)))


def hanley_mcneil_stderr(auc: Floats, positives: Floats, negatives: Floats) -> Floats:
    """The standard error of an AUC (Hanley and McNeil 1982)."""
    two_positives, two_negatives = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (two_positives - auc**2) + (negatives - 1) * (two_negatives - auc**2)
    return root(spread / positive(positives * negatives))


def mean_stderr(squares: Floats, mean: Floats, rows: Floats) -> Floats:
    """The standard error of a mean, from the sum of the squares."""
    return root((ratio(squares, rows) - mean**2) / positive(rows))


def r2(squared_error: Floats, total: Floats, total_squared: Floats, rows: Floats) -> Floats:
    """The coefficient of determination; `total` may be about any mean."""
    return 1 - ratio(squared_error, total_squared - total**2 / positive(rows))


def entropy(groups: Groups, shares: Floats) -> Floats:
    """(count,) entropy in nats of the shares of a group; NaN where none is above 0."""
    there = positive(shares)
    return present_sum(groups, there * np.log(1 / there))


def bleu(matches: Floats, ngrams: Floats, output: Floats, reference: Floats) -> Floats:
    """(n,) corpus BLEU of 0 to 100, as sacrebleu smooths it: the n-th order without a match counts as 2^-n matches.

    `matches` and `ngrams` are (n, 4). 0 without any match, NaN where outputs are too short for four-grams.
    """
    empty = (matches == 0).sum(axis=1)
    counted = np.where(matches > 0, matches, 1)
    logs = (np.log(counted) - np.log(positive(ngrams))).sum(axis=1) - np.log(2) * empty * (empty + 1) / 2
    brevity = np.exp(np.minimum(1 - reference / positive(output), 0))
    scores: Floats = 100 * np.exp(logs / 4) * brevity * (empty < 4)
    return scores


def smoothed(counts: Floats, rows: Floats, bins: Floats, groups: Groups) -> Floats:
    """The share of every cell with half a row more in each, so that an empty one gives no infinite logarithm."""
    wholes: Floats = (rows + SMOOTHING * bins)[groups.of]
    shares: Floats = (counts + SMOOTHING) / wholes
    return shares


def psi(one: Floats, other: Floats, groups: Groups) -> Floats:
    """(count,) population stability index in nats, from shares; cells that only one side has do not count."""
    return present_sum(groups, (one - other) * np.log(one / other))


def psi_noise_floor(bins: Floats, rows: Floats, reference_rows: Floats) -> Floats:
    """What PSI is by chance alone (Yurdakul 2018)."""
    return (bins - 1) * _seldom(rows, reference_rows)


def psi_significant(value: Floats, floor: Floats, rows: Floats) -> Floats:
    """1 or 0."""
    return _flag(value > FLOORS * floor, value + floor) * _flag(rows > ROWS_MIN, rows)


def ks_distance(le: Floats, rows: Floats, reference_share_le: Floats, groups: Groups) -> Floats:
    """(count,) the largest distance of two cumulative distributions at the bins' edges."""
    return groups.max(np.abs(le / positive(rows)[groups.of] - reference_share_le))


def ks_noise_floor(rows: Floats, reference_rows: Floats) -> Floats:
    """What the distance exceeds once in a thousand times without drift."""
    return KS_CRITICAL * np.sqrt(_seldom(rows, reference_rows))


def ks_significant(value: Floats, floor: Floats, rows: Floats) -> Floats:
    """1 or 0."""
    return _flag(value > floor, value + floor) * _flag(rows > ROWS_MIN, rows)


def negentropy(shares: Floats, groups: Groups) -> Floats:
    """(count,) sums of share times logarithm."""
    return present_sum(groups, shares * np.log(shares))


def jensen_shannon(shares: Floats, reference: Floats, reference_negentropy: Floats, groups: Groups) -> Floats:
    """(count,) divergence in nats, by entropies: that of the mean less the mean of both."""
    mean = 0.5 * (shares + reference)
    both = negentropy(shares, groups) + reference_negentropy
    return np.maximum(0.5 * both - present_sum(groups, mean * np.log(mean)), 0)


def difference_stderr(one: Floats, other: Floats) -> Floats:
    """Of the difference of two independent numbers, from the standard error of each."""
    return np.sqrt(one**2 + other**2)


def share_difference_stderr(share: Floats, rows: Floats, other: Floats, other_rows: Floats) -> Floats:
    """Of the difference of two shares."""
    return root(share * (1 - share) / positive(rows) + other * (1 - other) / positive(other_rows))


def missing_significant(difference: Floats, stderr: Floats, seen: Floats) -> Floats:
    """1 or 0."""
    return _flag(difference > STANDARD_ERRORS * stderr, difference + stderr) * _flag(seen > ROWS_MIN, seen)


def _seldom(rows: Floats, reference_rows: Floats) -> Floats:
    return 1 / positive(rows) + 1 / positive(reference_rows)


def _flag(condition: Flags, known: Floats) -> Floats:
    """1 or 0, and NaN where what was compared is not known."""
    return np.where(np.isnan(known), np.nan, condition)
