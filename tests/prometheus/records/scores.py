"""AUC, calibration, log loss and Brier score, against scikit-learn."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from scipy.stats import bootstrap
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from tests.prometheus.records.promtool import Case, Counts, Labels, Sample, gauges, replayed, series
from tests.prometheus.records.rows import EPSILON, binary, cumulative, multiclass, quantiles, version

REF = "0123456789ab"


def _count(of: Labels, score: np.ndarray, hit: np.ndarray, edges: list[float], *, sums: bool) -> Counts:
    """Cumulative counts of scores by whether the row is positive (or right), and of the scores themselves."""
    counts: Counts = {}
    for actual in (0, 1):
        ones = (hit == actual).astype(float)
        labels = {**of, "ref": REF, "actual": str(actual)}
        counts |= cumulative("airbag_quality_score_le_total", labels, edges, score, ones)
    if sums:
        counts |= cumulative("airbag_quality_score_sum_le_total", {**of, "ref": REF}, edges, score, score)
    return counts


def _losses(of: Labels, probabilities: np.ndarray, truth: np.ndarray, squared: np.ndarray) -> Counts:
    likely = np.clip(probabilities[np.arange(len(truth)), truth], EPSILON, 1 - EPSILON)
    return {
        series("airbag_quality_scored_total", **of): float(len(truth)),
        series("airbag_quality_log_loss_nats_total", **of): float(-np.log(likely).sum()),
        series("airbag_quality_squared_error_total", **of): float(squared.sum()),
    }


def case() -> Case:
    """A binary model, a multiclass one, and a ranking without probabilities."""
    two, three = binary(), multiclass()
    positive = (two.actual == "1").astype(int)
    chance = two.probabilities[:, 1]
    best, right = three.probabilities.max(1), (three.predicted == three.actual).astype(int)
    wine = three.actual.astype(int)
    kinds = {"two": "binary", "three": "multiclass", "ranked": "ranking"}

    def count_two(rows: np.ndarray) -> Counts:
        labels = version("two")
        squared = (chance[rows] - positive[rows]) ** 2
        counted = _count(labels, chance[rows], positive[rows], quantiles(chance, 50), sums=True)
        return counted | _losses(labels, two.probabilities[rows], positive[rows], squared)

    def count_three(rows: np.ndarray) -> Counts:
        labels = version("three")
        squared = (three.probabilities[rows] - np.eye(3)[wine[rows]]) ** 2
        counted = _count(labels, best[rows], right[rows], quantiles(best, 10), sums=True)
        return counted | _losses(labels, three.probabilities[rows], wine[rows], squared)

    relevance = two.probabilities[:, 1] * 7 - 2

    def count_ranked(rows: np.ndarray) -> Counts:
        edges = quantiles(relevance, 8)
        return _count(version("ranked"), relevance[rows], positive[rows], edges, sums=False)

    shown = replayed(count_two, len(positive)) | replayed(count_three, len(wine))
    shown |= replayed(count_ranked, len(positive))
    info = {
        series("airbag_quality_model_info", serving="main", model_name=model, kind=kind): 1.0
        for model, kind in kinds.items()
    }
    expected = [
        *_ranked(version("two"), chance, positive, quantiles(chance, 50)),
        *_ranked(version("ranked"), relevance, positive, quantiles(relevance, 8)),
        *_calibrated(version("two"), chance, positive, quantiles(chance, 50)),
        *_calibrated(version("three"), best, right, quantiles(best, 10)),
        *_lost("two", two.probabilities, positive, brier_score_loss(positive, chance)),
        *_lost("three", three.probabilities, wine, brier_score_loss(wine, three.probabilities, scale_by_half=False)),
    ]
    return Case(shown | gauges(info), expected)


def _ranked(of: Labels, score: np.ndarray, positive: np.ndarray, edges: list[float]) -> list[Sample]:
    bins = np.searchsorted(edges, score)
    exact, binned = roc_auc_score(positive, score), roc_auc_score(positive, bins)
    p, n = positive.sum(), len(positive) - positive.sum()
    bound = sum((positive[bins == b] == 1).sum() * (positive[bins == b] == 0).sum() for b in set(bins)) / (2 * p * n)
    assert abs(exact - binned) <= bound
    assert bound < 0.07
    q1, q2 = binned / (2 - binned), 2 * binned**2 / (1 + binned)
    variance = (binned * (1 - binned) + (p - 1) * (q1 - binned**2) + (n - 1) * (q2 - binned**2)) / (p * n)
    assert math.isclose(math.sqrt(variance), _spread_of_auc(), rel_tol=0.35)
    return [
        Sample("model_version:airbag_quality_auc:ratio5m", of, binned),
        Sample("model_version:airbag_quality_auc:ratio5m", of, exact, tolerance=bound),
        Sample("model_version:airbag_quality_auc:error_bound5m", of, bound),
        Sample("model_version:airbag_quality_auc:stderr5m", of, math.sqrt(variance)),
    ]


@cache
def _spread_of_auc() -> float:
    """How much AUC varies from sample to sample, told without a formula."""
    two = binary()
    drawn = bootstrap(
        (two.actual == "1", two.probabilities[:, 1]), roc_auc_score, n_resamples=200, paired=True, vectorized=False,
        method="percentile", rng=np.random.default_rng(1),
    )  # fmt: skip
    return float(drawn.standard_error)


def _calibrated(of: Labels, score: np.ndarray, hit: np.ndarray, edges: list[float]) -> list[Sample]:
    bins = np.searchsorted(edges, score)
    gaps = [abs(hit[bins == each].mean() - score[bins == each].mean()) * (bins == each).sum() for each in set(bins)]
    return [Sample("model_version:airbag_quality_ece:ratio5m", of, sum(gaps) / len(score))]


def _lost(model: str, probabilities: np.ndarray, truth: np.ndarray, brier: float) -> list[Sample]:
    of = version(model)
    return [
        Sample("model_version:airbag_quality_scored:increase5m", of, len(truth)),
        Sample("model_version:airbag_quality_log_loss:nats5m", of, log_loss(truth, probabilities)),
        Sample("model_version:airbag_quality_brier:mean5m", of, brier),
    ]
