"""Accuracy, precision, recall and F1, from the counts of each class: right also where a model has thousands."""

from __future__ import annotations

from airbag_exporters.quality.noise import STANDARD_ERRORS
from airbag_exporters.rules.promql import LABELS_MIN, VERSION, increase, root
from airbag_exporters.rules.rule import Record


def verdict(w: str) -> list[Record]:
    """What a verdict on a version needs. `labelled` and `sufficient` hold for every kind of model."""
    labelled = f"model_version:airbag_quality_labelled:increase{w}"
    accuracy, stderr = (f"model_version:airbag_quality_accuracy:{part}{w}" for part in ("ratio", "stderr"))
    right = increase(VERSION, 'airbag_quality_labelled_total{correct="true"}', w)
    return [
        Record(labelled, increase(VERSION, "airbag_quality_labelled_total", w)),
        Record(f"model_version:airbag_quality_labelled:sufficient{w}", f"{labelled} >= bool {LABELS_MIN}"),
        Record(accuracy, f"{right} / ({labelled} > 0)"),
        Record(stderr, root(f"{accuracy} * (1 - {accuracy}) / ({labelled} > 0)")),
        Record(f"model_version:airbag_quality_accuracy:upper_bound{w}", f"{accuracy} + {STANDARD_ERRORS} * {stderr}"),
        *_f1(w),
    ]


def _f1(w: str) -> list[Record]:
    tp, predicted, actual = (_count(kind, w) for kind in ("tp", "predicted", "actual"))
    f1 = f"model_version_class:airbag_quality_f1:ratio{w}"
    return [
        *(
            Record(_count(kind, w), increase(f"{VERSION}, class", f'airbag_quality_class_total{{kind="{kind}"}}', w))
            for kind in ("tp", "predicted", "actual")
        ),
        Record(f1, f"2 * {tp} / ({predicted} + {actual} > 0)"),
        Record(f"model_version:airbag_quality_f1_macro:ratio{w}", f"avg by ({VERSION}) ({f1})"),
    ]


def classes(w: str) -> list[Record]:
    """Precision and recall. Needs `verdict` of the same window before it.

    The macro averages are over the classes that were predicted or occurred, as scikit-learn's: a class that was
    never predicted has no precision, and counts as 0.
    """
    return [*_share_found("precision", "predicted", w), *_share_found("recall", "actual", w)]


def _share_found(metric: str, among: str, w: str) -> list[Record]:
    ratio = f"model_version_class:airbag_quality_{metric}:ratio{w}"
    seen = f"model_version_class:airbag_quality_f1:ratio{w}"
    return [
        Record(ratio, f"{_count('tp', w)} / ({_count(among, w)} > 0)"),
        Record(
            f"model_version_class:airbag_quality_{metric}:stderr{w}",
            root(f"{ratio} * (1 - {ratio}) / ({_count(among, w)} > 0)"),
        ),
        Record(
            f"model_version:airbag_quality_{metric}_macro:ratio{w}",
            f"sum by ({VERSION}) ({ratio}) / count by ({VERSION}) ({seen})",
        ),
    ]


def _count(kind: str, w: str) -> str:
    return f"model_version_class:airbag_quality_{kind}:increase{w}"
