"""The candidate against the stable version, also when the stable one no longer has traffic."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy.stats import entropy
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from tests.prometheus.records.promtool import Case, Counts, Labels, Sample, gauges, replayed, series, text
from tests.prometheus.records.rows import Classified, binary, count_classes, cumulative, quantiles, version

_OF = {"serving": "main", "model_name": "two"}
_REF = "0123456789ab"
_EDGES = quantiles(binary().probabilities[:, 1], 20)


def case() -> Case:
    """Both have traffic. Beside them models without a comparison: too few labels, no stable version, two candidates."""
    stable, candidate = binary(), _worse(binary())
    shown = _pages(2, stable) | _pages(3, candidate) | _others() | gauges(_roles() | _needs(), 21)
    return Case(shown, _expected(stable, candidate), every=60)


def stable_without_traffic() -> Case:
    """It was replaced half an hour ago, and is judged by what it did then."""
    before = case()
    pages = {key: [*values, *values[-1:] * 120] for key, values in (_pages(2, binary())).items()}
    pages |= {key: [0.0] * 120 + list(values) for key, values in _pages(3, _worse(binary())).items()}
    return replace(before, series=pages | gauges(_roles() | _needs(), 141), every=300, at=2100)


def stable_long_gone() -> Case:
    """After an hour it says nothing any more."""
    late = stable_without_traffic()
    pages = {key: [*values[:21], *values[20:21] * 260] for key, values in _pages(2, binary()).items()}
    pages |= {key: [0.0] * 260 + list(values) for key, values in _pages(3, _worse(binary())).items()}
    absent = [f"model:airbag_quality_{name}5m" for name in ("accuracy:difference", "accuracy:zscore", "auc:difference")]
    return replace(late, series=pages | gauges(_roles() | _needs(), 281), expected=(), absent=absent, at=4200)


def draining() -> Case:
    """The stable version's last answers are wrong, just before its traffic ends.

    It goes on being judged by half of its rows or more: by the last eleven scrapes, of which five were right, and not
    by the last six, which are enough rows and all wrong.
    """
    at, scrapes = 558, np.arange(38)
    answers = {
        (2, "true"): 10 * np.clip(scrapes, 0, 14),
        (2, "false"): 10 * np.clip(scrapes - 14, 0, 6),
        (3, "true"): 8 * np.clip(scrapes - 20, 0, None),
        (3, "false"): 2 * np.clip(scrapes - 20, 0, None),
    }
    shown = {
        text(series("airbag_quality_labelled_total", **version("two", number), correct=correct)): list(counts)
        for (number, correct), counts in answers.items()
    }
    difference = 0.8 - 5 / 11
    wanted = {"accuracy:difference5m": difference, "release_accuracy:difference": difference}
    expected = [Sample(f"model:airbag_quality_{name}", _OF, value, tolerance=0.01) for name, value in wanted.items()]
    expected += [
        Sample("model_version:airbag_quality_release_accuracy:ratio", version("two"), 0.8, tolerance=0.01),
        Sample("model_version:airbag_quality_release_labelled:increase", version("two"), 170, tolerance=15),
        Sample("model_version:airbag_quality_release_labelled:increase", version("two", 2), 20, tolerance=15),
        Sample("model_version:airbag_quality_release_accuracy:ratio", version("two", 2), 0, tolerance=0.01),
    ]
    return Case(shown | gauges(_roles() | _needs(), 38), expected, every=62, at=at)


def numbers() -> Case:
    """Of a regression model, whose errors are twice as large in the candidate."""
    errors = np.random.default_rng(8).normal(size=400)
    shown: dict[str, list[float]] = {}
    for number, error in ((2, errors), (3, 2 * errors)):

        def count(rows: np.ndarray, of: Labels = version("two", number), error: np.ndarray = error) -> Counts:  # noqa: B008 - of this turn
            return {
                series("airbag_quality_labelled_total", **of, correct=""): float(len(rows)),
                series("airbag_quality_absolute_error_total", **of): float(np.abs(error[rows]).sum()),
                series("airbag_quality_squared_error_total", **of): float((error[rows] ** 2).sum()),
            }

        shown |= replayed(count, 400)
    info = {series("airbag_quality_model_info", **_OF, kind="regression"): 1.0}
    size = np.abs(errors)
    doubt = math.sqrt(5 * size.var() / 400)
    expected = [
        Sample("model:airbag_quality_mae:difference5m", _OF, size.mean()),
        Sample("model:airbag_quality_mae:difference_stderr5m", _OF, doubt),
        Sample("model:airbag_quality_mae:zscore5m", _OF, size.mean() / doubt),
    ]
    return Case(shown | gauges(_roles() | _needs() | info), expected, every=60)


def _worse(rows: Classified) -> Classified:
    """Every third answer is turned round."""
    turned = np.arange(len(rows.actual)) % 3 == 0
    predicted = np.where(turned, np.where(rows.predicted == "1", "0", "1"), rows.predicted)
    return replace(
        rows,
        predicted=predicted,
        probabilities=np.where(turned[:, None], rows.probabilities[:, ::-1], rows.probabilities),
    )


def _pages(number: int, rows: Classified) -> dict[str, list[float]]:
    of = version("two", number)
    each = entropy(rows.probabilities**2, axis=1) if number == 3 else entropy(rows.probabilities, axis=1)
    positive, score = (rows.actual == "1").astype(int), rows.probabilities[:, 1]

    def count(some: np.ndarray) -> Counts:
        counts = count_classes(of, rows.predicted[some], rows.actual[some], rows.classes)
        for actual in (0, 1):
            labels = {**of, "ref": _REF, "actual": str(actual)}
            ones = (positive[some] == actual).astype(float)
            counts |= cumulative("airbag_quality_score_le_total", labels, _EDGES, score[some], ones)
        return counts | {
            series("airbag_quality_prediction_entropy_nats_total", **of): float(each[some].sum()),
            series("airbag_quality_prediction_entropy_rows_total", **of): float(len(some)),
        }

    return replayed(count, len(rows.actual))


def _others() -> dict[str, list[float]]:
    """Versions with a role and labels, of models that must not be compared."""
    growing = [0.0, 0.0, *(float(value) for value in range(10, 200, 10))]
    found: dict[str, list[float]] = {}
    for model, number, role, part in (
        ("few", 2, "stable", 0.05), ("few", 3, "candidate", 1.0),
        ("alone", 3, "candidate", 1.0),
        ("torn", 2, "stable", 1.0), ("torn", 3, "candidate", 1.0), ("torn", 4, "candidate", 1.0),
    ):  # fmt: skip
        of = version(model, number)
        counted = {series("airbag_quality_labelled_total", **of, correct=correct): 1.0 for correct in ("true", "false")}
        for key in counted:
            name, labels = key
            found |= gauges({(name, labels): 0.0})
            for page in gauges({key: 0.0}):
                found[page] = [value * part for value in growing]
        found |= gauges({series("airbag_quality_version_role", **of, role=role): 1.0})
    return found | gauges(
        {series("airbag_quality_labels_min", serving="main", model_name=m): 50.0 for m in ("few", "alone", "torn")}
    )


def _roles() -> Counts:
    return {
        series("airbag_quality_version_role", **version("two", 3), role="candidate"): 1.0,
        series("airbag_quality_version_role", **version("two", 2), role="stable"): 1.0,
    }


def _needs() -> Counts:
    return {
        series("airbag_quality_labels_min", **_OF): 50.0,
        series("airbag_quality_model_info", **_OF, kind="binary"): 1.0,
    }


def _expected(stable: Classified, candidate: Classified) -> list[Sample]:
    accuracy = _accuracy(candidate) - _accuracy(stable)
    together = math.hypot(_doubt(candidate), _doubt(stable))
    aucs = [_auc(candidate), _auc(stable)]
    auc_together = math.hypot(*(_hanley(auc, candidate) for auc in aucs))
    entropies = [entropy(candidate.probabilities**2, axis=1).mean(), entropy(stable.probabilities, axis=1).mean()]
    mixes = [entropy(np.unique(each.predicted, return_counts=True)[1]) for each in (candidate, stable)]
    f1 = [f1_score(each.actual, each.predicted, average="macro") for each in (candidate, stable)]
    wanted = {
        "accuracy:difference": accuracy,
        "accuracy:difference_stderr": together,
        "accuracy:zscore": accuracy / together,
        "f1_macro:difference": f1[0] - f1[1],
        "auc:difference": aucs[0] - aucs[1],
        "auc:difference_stderr": auc_together,
        "auc:zscore": (aucs[0] - aucs[1]) / auc_together,
        "prediction_entropy:difference": entropies[0] - entropies[1],
        "prediction_class_entropy:difference": mixes[0] - mixes[1],
    }
    released = {key: value for key, value in wanted.items() if key.startswith("accuracy:")}
    return [
        *(Sample(f"model:airbag_quality_{name}5m", _OF, value) for name, value in wanted.items()),
        *(Sample(f"model:airbag_quality_release_{name}", _OF, value) for name, value in released.items()),
        Sample(
            "model_version:airbag_quality_release_accuracy:drop_lower_bound",
            version("two"),
            -accuracy - 4 * together,
            tolerance=1e-6,
        ),
    ]


def _accuracy(rows: Classified) -> float:
    return float(accuracy_score(rows.actual, rows.predicted))


def _doubt(rows: Classified) -> float:
    """Agresti and Caffo: with one right and one wrong answer more."""
    n = len(rows.actual) + 2
    share = (_accuracy(rows) * (n - 2) + 1) / n
    return math.sqrt(share * (1 - share) / n)


def _auc(rows: Classified) -> float:
    return float(roc_auc_score(rows.actual == "1", np.searchsorted(_EDGES, rows.probabilities[:, 1])))


def _hanley(auc: float, rows: Classified) -> float:
    p = int((rows.actual == "1").sum())
    n = len(rows.actual) - p
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    return math.sqrt((auc * (1 - auc) + (p - 1) * (q1 - auc**2) + (n - 1) * (q2 - auc**2)) / (p * n))
