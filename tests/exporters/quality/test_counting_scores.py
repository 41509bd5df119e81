"""AUC, calibration, Brier score, log loss and entropy follow from the counters."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from tests.exporters.quality.counted import (
    Seen,
    classified,
    coded,
    counted,
    outcomes_of,
    predictions_of,
    reference_of,
    spec_of,
)

ANIMALS = ("cat", "dog", "owl")


def binary(rows: int, seed: int = 5) -> tuple[np.ndarray, list[str], list[str]]:
    """Probabilities of `yes`, what was predicted, what was true."""
    draw = np.random.default_rng(seed)
    score = draw.beta(1.2, 2, rows)
    actual = np.where(draw.random(rows) < score**1.3, "yes", "no")
    return score, np.where(score >= 0.5, "yes", "no").tolist(), actual.tolist()


def auc(seen: Seen) -> tuple[float, float]:
    """The area under the ROC curve by trapezoids, and by how much it may be wrong (half of all pairs in one bin)."""
    ones, zeros = (np.diff([0, *seen.bins("score_le", actual=actual)]) for actual in "10")
    below = np.cumsum(zeros) - zeros
    pairs = ones.sum() * zeros.sum()
    return float((ones * (below + zeros / 2)).sum() / pairs), float((ones * zeros).sum() / 2 / pairs)


@pytest.mark.parametrize("edges", [(), tuple(np.quantile(binary(20_000)[0], np.linspace(0, 1, 51)[1:-1]).tolist())])
def test_auc_from_bins_is_within_its_bound_of_scikit_learn(edges: tuple[float, ...]) -> None:
    score, predicted, actual = binary(20_000)
    spec = spec_of(reference=reference_of(score_edges=edges) if edges else None)
    found, bound = auc(counted(spec, classified(spec, predicted, actual, score=score)))
    exact = roc_auc_score([name == "yes" for name in actual], score)
    assert abs(found - exact) <= bound
    assert bound < 0.03


def test_auc_is_exact_where_every_bin_holds_one_value() -> None:
    draw = np.random.default_rng(7)
    score = draw.integers(0, 8, 3_000) / 8
    relevant = draw.random(3_000) < score
    spec = spec_of("ranking", reference=reference_of(score_edges=(np.arange(7) / 8).tolist()))
    seen = counted(spec, outcomes_of(3_000, score=score, target=relevant.astype(float)))
    assert auc(seen)[0] == pytest.approx(roc_auc_score(relevant, score), abs=1e-12)
    assert seen.all("score_sum_le") == []


def test_brier_score_and_log_loss_of_a_binary_model_are_those_of_scikit_learn() -> None:
    score, predicted, actual = binary(4_000)
    score[:3] = (0.0, 1.0, 0.5)
    spec = spec_of()
    seen = counted(spec, classified(spec, predicted, actual, score=score))
    positive = [name == "yes" for name in actual]
    scored = seen.value("scored")
    assert scored == 4_000
    assert seen.value("squared_error") / scored == pytest.approx(brier_score_loss(positive, score), rel=1e-12)
    assert seen.value("log_loss_nats") / scored == pytest.approx(log_loss(positive, score), rel=1e-12)


def test_the_positive_class_may_be_the_first_one() -> None:
    score, predicted, actual = binary(500)
    spec = spec_of(classes=("yes", "no"), positive="yes")
    seen = counted(spec, classified(spec, predicted, actual, score=score))
    positive = [name == "yes" for name in actual]
    assert seen.value("log_loss_nats") / 500 == pytest.approx(log_loss(positive, score), rel=1e-12)
    assert seen.bins("score_le", actual="1")[-1] == sum(positive)


def test_brier_score_and_log_loss_of_more_classes_are_those_of_scikit_learn() -> None:
    draw = np.random.default_rng(11)
    scores = draw.dirichlet((1, 2, 1), 3_000)
    scores[0] = (1.0, 0.0, 0.0)
    actual = [ANIMALS[draw.choice(3, p=row)] for row in scores]
    predicted = [ANIMALS[number] for number in scores.argmax(axis=1)]
    spec = spec_of("multiclass", ANIMALS)
    seen = counted(spec, classified(spec, predicted, actual, scores=scores, score=scores.max(axis=1)))
    truth = np.array([[name == each for each in ANIMALS] for name in actual], float)
    assert seen.value("scored") == 3_000
    assert seen.value("squared_error") == pytest.approx(np.square(scores - truth).sum(), rel=1e-12)
    assert seen.value("log_loss_nats") / 3_000 == pytest.approx(log_loss(actual, scores, labels=ANIMALS), rel=1e-12)


def test_a_label_that_is_no_known_class_costs_the_whole_of_what_was_given_to_others() -> None:
    spec = spec_of("multiclass", ANIMALS)
    scores = np.array([[0.5, 0.25, 0.25]])
    seen = counted(spec, classified(spec, ["cat"], ["newt"], scores=scores))
    assert seen.value("squared_error") == pytest.approx(1 + 0.25 + 0.0625 + 0.0625)
    assert seen.value("log_loss_nats") == pytest.approx(-np.log(np.finfo(float).eps))


def test_calibration_follows_from_sums_in_the_same_bins() -> None:
    score, predicted, actual = binary(6_000)
    edges = np.linspace(0, 1, 11)[1:-1]
    spec = spec_of(reference=reference_of(score_edges=edges.tolist()))
    seen = counted(spec, classified(spec, predicted, actual, score=score))
    ones = np.diff([0, *seen.bins("score_le", actual="1")])
    sums = np.diff([0, *seen.bins("score_sum_le")])
    where = np.digitize(score, edges, right=True)
    positive = np.array([name == "yes" for name in actual])
    expected = sum(
        abs(positive[where == each].mean() - score[where == each].mean()) * (where == each).mean() for each in range(10)
    )
    assert np.abs(ones - sums).sum() / 6_000 == pytest.approx(expected, rel=1e-9)


def test_of_more_classes_the_score_is_judged_by_whether_the_prediction_was_right() -> None:
    spec = spec_of("multiclass", ANIMALS)
    score = np.array([0.9, 0.8, 0.3, 0.6])
    seen = counted(spec, classified(spec, ["cat", "cat", "owl", "newt"], ["cat", "dog", "owl", "newt"], score=score))
    assert seen.bins("score_le", actual="1")[-1] == 3
    assert seen.bins("score_le", actual="0")[-1] == 1
    assert seen.bins("score_sum_le")[-1] == pytest.approx(2.6)
    assert seen.value("scored") == 0, "there are no probabilities of the other classes"


def test_rows_whose_score_is_no_probability_are_left_out_of_everything_but_the_classes() -> None:
    spec = spec_of()
    score = np.array([0.7, np.nan, np.inf, -np.inf, 1.5, -0.2, 1e300])
    answers = ["yes"] * 7
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen = counted(
            spec,
            classified(spec, answers, answers, score=score),
            predictions_of(7, predicted=coded(*answers), score=score),
        )
    assert seen.value("scored") == seen.bins("score_le", actual="1")[-1] == seen.value("prediction_entropy_rows") == 1
    assert seen.value("log_loss_nats") == pytest.approx(-np.log(0.7))
    assert seen.bins("score_sum_le")[-1] == pytest.approx(0.7)
    assert seen.value("labelled", correct="true") == 7
    assert seen.value("feature_missing", feature="score") == 1


def test_a_probability_that_rounding_moved_beyond_1_counts_as_1() -> None:
    spec = spec_of()
    seen = counted(spec, classified(spec, ["yes"], ["yes"], score=np.array([1 + 1e-7])))
    assert seen.value("scored") == 1
    assert seen.bins("score_sum_le")[-1] == 1
    assert seen.value("squared_error") == 0


def test_scores_of_a_ranking_may_be_any_numbers() -> None:
    spec = spec_of("ranking")
    score = np.array([-40.0, 3.0, np.inf, -np.inf, np.nan])
    seen = counted(spec, outcomes_of(5, score=score, target=np.array([0.0, 1, 1, 0, 1])))
    assert seen.bins("score_le", actual="1")[-1] == 2
    assert seen.bins("score_le", actual="0") == [2.0] * 50
    assert seen.value("labelled", correct="") == 5


def test_entropy_is_that_of_scipy() -> None:
    draw = np.random.default_rng(13)
    scores = draw.dirichlet((1, 2, 1), 500)
    scores[:2] = ((1.0, 0.0, 0.0), (np.nan, 0.5, 0.5))
    seen = counted(spec_of("multiclass", ANIMALS), predictions_of(500, scores=scores))
    assert seen.value("prediction_entropy_rows") == 499
    expected = entropy(np.delete(scores, 1, axis=0), axis=1).sum()
    assert seen.value("prediction_entropy_nats") == pytest.approx(expected, rel=1e-12)

    score = np.array([0.0, 1.0, 0.5, 0.1])
    seen = counted(spec_of(), predictions_of(4, score=score))
    assert seen.value("prediction_entropy_nats") == pytest.approx(entropy([score, 1 - score], axis=0).sum(), rel=1e-12)


def test_bins_carry_the_hash_of_the_reference_only_where_it_gave_them() -> None:
    reference = reference_of(score_edges=(0.2, 0.6))
    assert {labels["ref"] for labels, _ in counted(spec_of(reference=reference)).all("score_le")} == {reference.ref}
    without = reference_of()
    assert {labels["ref"] for labels, _ in counted(spec_of(reference=without)).all("score_le")} == {"default"}
