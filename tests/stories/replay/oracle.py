"""What scikit-learn, scipy and sacrebleu say about the same rows, under the names of the recording rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sacrebleu
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr
from scipy.stats import entropy, ks_2samp
from sklearn import metrics

from airbag_exporters.quality.reference.value import Categorical, Numeric, Reference
from tests.stories.replay.rows import Answers

Expected = dict[tuple[str, frozenset[tuple[str, str]]], tuple[float, float]]
"""For each record and its labels the value and how far the record may be off."""

Array = NDArray[Any]
CLOSE = 2e-3
"""Two replicas are scraped at different moments, so their increases are extrapolated by slightly different factors."""


def compared(candidate: Answers, stable: Answers) -> Expected:
    """How a binary candidate differs from the stable version."""
    found: Expected = {}
    for metric, bound in (("accuracy", CLOSE * 4), ("f1_macro", CLOSE * 4), ("auc", 0.02)):
        name = f"model_version:airbag_quality_{metric}:ratio"
        new, old = (_binary(each)[name][0] for each in (candidate, stable))
        labels = frozenset({"model_name": candidate.model}.items())
        found[f"model:airbag_quality_{metric}:difference", labels] = (new - old, bound)
    return found


def expected(answers: Answers, kind: str, reference: Reference | None = None) -> Expected:
    """Every record of one version that has a known value."""
    values = {
        "binary": _binary, "multiclass": _multiclass, "regression": _regression, "ranking": _ranking,
        "translation": _translation,
    }[kind](answers)  # fmt: skip
    version = {"model_name": answers.model, "model_version": answers.version}
    found: Expected = {}
    for name, (value, bound) in values.items():
        record, _, class_name = name.partition("/")
        labels = version | ({"class": class_name} if class_name else {})
        found[record, frozenset(labels.items())] = (value, bound)
    if reference:
        ece = calibration_error(answers, reference)
        found["model_version:airbag_quality_ece:ratio", frozenset(version.items())] = (ece, CLOSE * 2)
        for feature, column in (answers.features or {}).items():
            for record, pair in _drift(column, reference, feature).items():
                found[record, frozenset((version | {"feature": feature}).items())] = pair
    return found


def _classes(answers: Answers) -> dict[str, tuple[float, float]]:
    actual, predicted = answers.actual, answers.predicted
    assert predicted is not None
    names = sorted(set(actual))
    each = metrics.precision_recall_fscore_support(actual, predicted, labels=names, zero_division=0)
    macro = metrics.precision_recall_fscore_support(actual, predicted, average="macro", zero_division=0)
    accuracy = metrics.accuracy_score(actual, predicted)
    found = {
        "model_version:airbag_quality_accuracy:ratio": accuracy,
        "model_version:airbag_quality_accuracy:stderr": (accuracy * (1 - accuracy) / len(actual)) ** 0.5,
        "model_version:airbag_quality_precision_macro:ratio": macro[0],
        "model_version:airbag_quality_recall_macro:ratio": macro[1],
        "model_version:airbag_quality_f1_macro:ratio": macro[2],
        "model_version:airbag_quality_prediction_class_entropy:nats": entropy(
            np.unique(predicted, return_counts=True)[1]
        ),
    }
    for at, metric in enumerate(("precision", "recall", "f1")):
        for number, name in enumerate(names):
            found[f"model_version_class:airbag_quality_{metric}:ratio/{name}"] = each[at][number]
    return {name: (float(value), CLOSE * 2) for name, value in found.items()}


def _binary(answers: Answers) -> dict[str, tuple[float, float]]:
    score = answers.score
    assert score is not None
    positive = answers.actual == "benign"
    both = np.stack([1 - score, score], axis=1)
    return _classes(answers) | {
        "model_version:airbag_quality_auc:ratio": (float(metrics.roc_auc_score(positive, score)), 0.01),
        "model_version:airbag_quality_log_loss:nats": (float(metrics.log_loss(positive, both)), CLOSE),
        "model_version:airbag_quality_brier:mean": (float(metrics.brier_score_loss(positive, score)), CLOSE),
        "model_version:airbag_quality_prediction_entropy:mean_nats": (float(np.mean(entropy(both, axis=1))), CLOSE),
    }


def _multiclass(answers: Answers) -> dict[str, tuple[float, float]]:
    scores = answers.scores
    assert scores is not None
    names = [str(number) for number in range(scores.shape[1])]
    truth = (answers.actual[:, None] == np.array(names, dtype=object)).astype(float)
    return _classes(answers) | {
        "model_version:airbag_quality_log_loss:nats": (
            float(metrics.log_loss(answers.actual, scores, labels=names)), CLOSE * 2
        ),
        "model_version:airbag_quality_brier:mean": (float(np.mean(np.sum((scores - truth) ** 2, axis=1))), CLOSE),
        "model_version:airbag_quality_prediction_entropy:mean_nats": (float(np.mean(entropy(scores, axis=1))), CLOSE),
    }  # fmt: skip


def _regression(answers: Answers) -> dict[str, tuple[float, float]]:
    actual, predicted = answers.actual, answers.predicted
    assert predicted is not None
    found = {
        "mae:mean": metrics.mean_absolute_error(actual, predicted),
        "rmse:root": metrics.root_mean_squared_error(actual, predicted),
        "bias:mean": np.mean(predicted - actual),
        "r2:ratio": metrics.r2_score(actual, predicted),
    }
    spread = float(np.std(actual))
    bounds = {"r2:ratio": CLOSE * 2}
    return {
        f"model_version:airbag_quality_{name}": (float(value), bounds.get(name, CLOSE * spread))
        for name, value in found.items()
    }


def _ranking(answers: Answers) -> dict[str, tuple[float, float]]:
    return {
        "model_version:airbag_quality_auc:ratio": (float(metrics.roc_auc_score(answers.actual, answers.score)), 0.02)
    }


def _translation(answers: Answers) -> dict[str, tuple[float, float]]:
    assert answers.predicted is not None
    outputs, references = list(answers.predicted), [list(answers.actual)]
    return {
        "model_version:airbag_quality_bleu:score": (sacrebleu.corpus_bleu(outputs, references).score, 0.2),
        "model_version:airbag_quality_ter:ratio": (sacrebleu.corpus_ter(outputs, references).score / 100, CLOSE),
    }


def _drift(column: Array, reference: Reference, feature: str) -> Mapping[str, tuple[float, float]]:
    profile = reference.features[feature]
    prefix = "model_version_feature:airbag_quality_"
    if isinstance(profile, Categorical):
        names: Sequence[str] = list(profile.counts)
        live = np.array([*(np.sum(column == name) for name in names), np.sum(~np.isin(column, names))])
        return _distances(prefix, live, np.array([*profile.counts.values(), profile.other]))
    missing = float(np.mean(np.isnan(column)))
    known = column[~np.isnan(column)]
    live = np.bincount(np.searchsorted(profile.edges, known), minlength=len(profile.le))
    kept = np.diff(np.array(profile.le), prepend=0)
    binned = np.max(np.abs(np.cumsum(live) / live.sum() - np.cumsum(kept) / kept.sum()))
    return {
        **_distances(prefix, live, kept),
        f"{prefix}ks:distance": (float(binned), CLOSE),
        f"{prefix}missing:ratio": (missing, CLOSE),
    }


def _distances(prefix: str, live: Array, kept: Array) -> dict[str, tuple[float, float]]:
    ours, theirs = ((each + 0.5) / (each.sum() + 0.5 * len(each)) for each in (live, kept))
    psi = float(np.sum(rel_entr(ours, theirs) + rel_entr(theirs, ours)))
    return {f"{prefix}psi:nats": (psi, 0.01), f"{prefix}js:nats": (float(jensenshannon(ours, theirs) ** 2), CLOSE)}


def calibration_error(answers: Answers, reference: Reference) -> float:
    """The expected calibration error over the score bins of the reference."""
    assert answers.score is not None
    bins = np.searchsorted(reference.score_edges, answers.score)
    gaps = np.bincount(bins, (answers.actual == "benign") - answers.score, minlength=len(reference.score_edges) + 1)
    return float(np.abs(gaps).sum() / len(answers))


def exact_ks(live: Array, training: Array) -> float:
    """The distance without bins."""
    return float(ks_2samp(live[~np.isnan(live)], training).statistic)


def bins_of(reference: Reference, feature: str) -> int:
    """How many bins a numeric feature has."""
    profile = reference.features[feature]
    assert isinstance(profile, Numeric)
    return len(profile.le)
