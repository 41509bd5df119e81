"""Accuracy, precision, recall and F1 follow from the counters as scikit-learn computes them from the rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from tests.exporters.quality.counted import Seen, classified, coded, counted, outcomes_of, predictions_of, spec_of

ANIMALS = ("cat", "dog", "owl")


def drawn(classes: tuple[str, ...], rows: int, seed: int) -> tuple[list[str], list[str]]:
    """Predicted and actual classes, more than half of them equal, some of neither known."""
    draw = np.random.default_rng(seed)
    names = np.array([*classes, "newt", "other"])
    actual = draw.choice(names, rows)
    predicted = np.where(draw.random(rows) < 0.6, actual, draw.choice(names, rows))
    return predicted.tolist(), actual.tolist()


def scores_by_class(seen: Seen, classes: tuple[str, ...]) -> list[tuple[float, float, float]]:
    """Precision, recall and F1 of each class, from the page alone."""
    found = []
    for name in classes:
        kinds = seen.by("kind", "class", **{"class": name})
        hits, predicted, actual = kinds["tp"], kinds["predicted"], kinds["actual"]
        found.append((hits / predicted, hits / actual, 2 * hits / (predicted + actual)))
    return found


@pytest.mark.parametrize("classes", [ANIMALS, tuple(f"class {number}" for number in range(100))])
def test_scores_by_class_are_those_of_scikit_learn(classes: tuple[str, ...]) -> None:
    predicted, actual = drawn(classes, 5_000, seed=1)
    spec = spec_of("multiclass", classes)
    seen = counted(spec, classified(spec, predicted, actual))
    labelled = seen.by("correct", "labelled")
    assert labelled["true"] / sum(labelled.values()) == pytest.approx(accuracy_score(actual, predicted))
    precision, recall, f1, _ = precision_recall_fscore_support(actual, predicted, labels=classes, zero_division=0)
    np.testing.assert_allclose(scores_by_class(seen, classes), np.stack([precision, recall, f1], axis=1), rtol=1e-12)


def test_the_confusion_matrix_is_that_of_scikit_learn_with_unknown_classes_folded() -> None:
    predicted, actual = drawn(ANIMALS, 2_000, seed=2)
    spec = spec_of("multiclass", ANIMALS)
    seen = counted(spec, classified(spec, predicted, actual))

    def folded(names: list[str]) -> list[str]:
        return [name if name in ANIMALS else "other" for name in names]

    names = [*ANIMALS, "other"]
    matrix = confusion_matrix(folded(actual), folded(predicted), labels=names)
    for row, was in enumerate(names):
        for column, said in enumerate(names):
            total = sum(value for _, value in seen.all("outcomes", predicted=said, actual=was))
            assert total == matrix[row, column], (said, was)


def test_two_unknown_classes_are_right_only_when_they_are_the_same() -> None:
    spec = spec_of("multiclass", ANIMALS)
    seen = counted(spec, classified(spec, ["newt", "newt", "eel"], ["newt", "eel", "eel"]))
    assert seen.by("correct", "outcomes", predicted="other", actual="other") == {"true": 2, "false": 1}
    assert seen.by("correct", "labelled") == {"true": 2, "false": 1}
    assert seen.by("kind", "class", **{"class": "other"}) == {"tp": 2, "predicted": 3, "actual": 3}


def test_a_class_that_is_itself_called_other_shares_its_series_with_the_unknown_ones() -> None:
    spec = spec_of("multiclass", ("cat", "other"))
    seen = counted(
        spec,
        classified(spec, ["other", "newt", "cat"], ["other", "other", "newt"]),
        predictions_of(3, predicted=coded("other", "newt", "cat")),
    )
    assert seen.by("predicted", "predictions") == {"cat": 1, "other": 2}
    assert seen.by("correct", "outcomes", predicted="other", actual="other") == {"true": 1, "false": 1}
    assert seen.value("outcomes", predicted="cat", actual="other") == 1


def test_every_outcome_says_whether_it_is_correct() -> None:
    seen = counted(spec_of("multiclass", ANIMALS))
    for labels, _ in seen.all("outcomes"):
        if not labels["predicted"] == labels["actual"] == "other":
            assert labels["correct"] == ("true" if labels["predicted"] == labels["actual"] else "false")
    assert len(seen.all("outcomes")) == 17


def test_the_confusion_matrix_is_left_out_where_there_are_more_classes_than_it_may_have() -> None:
    assert counted(spec_of("multiclass", ANIMALS, confusion_classes_max=2)).all("outcomes") == []
    assert counted(spec_of("multiclass", ANIMALS, confusion_classes_max=3)).all("outcomes") != []


def test_predictions_are_counted_by_class_and_unknown_or_missing_ones_as_other() -> None:
    spec = spec_of("multiclass", ANIMALS)
    seen = counted(spec, predictions_of(5, predicted=coded("cat", "cat", "newt", None, "owl")), predictions_of(2))
    assert seen.by("predicted", "predictions") == {"cat": 2, "dog": 0, "owl": 1, "other": 4}


def test_a_model_that_nobody_configured_has_only_other() -> None:
    spec = spec_of("multiclass")
    seen = counted(spec, predictions_of(1, predicted=coded("cat")), classified(spec, ["cat", "cat"], ["cat", "dog"]))
    assert seen.by("predicted", "predictions") == {"other": 1}
    assert seen.by("correct", "outcomes") == {"true": 1, "false": 1}


@pytest.mark.parametrize("kind", ["regression", "ranking", "translation"])
def test_kinds_without_classes_count_rows_under_empty_labels(kind: str) -> None:
    spec = spec_of(kind, ter_sample=0) if kind == "translation" else spec_of(kind)
    numbers = np.zeros(3)
    labelled = {
        "regression": {"value": numbers, "target": numbers},
        "ranking": {"score": numbers, "target": numbers},
        "translation": {"texts": [("a", "a")] * 3},
    }[kind]
    seen = counted(spec, predictions_of(4), outcomes_of(3, **labelled))
    assert seen.by("predicted", "predictions") == {"": 4}
    assert seen.by("correct", "labelled") == {"": 3}
    assert seen.all("outcomes") == []
    assert seen.all("class") == []
