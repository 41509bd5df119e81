"""From what was given to predictions: every check that depends on the kind of the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from airbag_exporters.quality.columns import OTHER, Coded, Floats, Predictions, as_numbers
from airbag_exporters.quality.decode.columns import Column, is_missing, texts
from airbag_exporters.quality.decode.given import FUTURE_MAX, Given, Mask
from airbag_exporters.quality.decode.problems import Problems
from airbag_exporters.quality.models import Spec

_SUM_TOLERANCE = 1e-3


def judged(given: Given, now: float, problems: Problems) -> list[Predictions]:
    """The predictions of one version, apart by which columns they have; what is wrong goes to `problems`."""
    size = len(given.rows)
    at = _times(given, now, problems)
    latency = _seconds(given, "latency_seconds", given.latency, problems)
    whole = Predictions(given.owner, at, None if given.ids is None else given.ids.keys, latency=latency)
    if given.spec.model == OTHER:
        # Of what nobody configured, only how much there is can be told, and whether it was right.
        whole = replace(whole, latency=None, predicted=_class_or_none(given, size))
    else:
        whole = _by_kind(given, whole, problems)
        whole = replace(whole, features=_features(given, problems), segments=_segments(given))
    return _apart(given, replace(whole, actual=_actual(given, problems)))


def _by_kind(given: Given, whole: Predictions, problems: Problems) -> Predictions:
    kind = given.spec.quality.kind
    if kind == "regression":
        return replace(whole, value=_numbers(given, "predicted", given.predicted, problems))
    if kind == "ranking":
        return replace(whole, score=_numbers(given, "score", given.score, problems))
    if kind == "translation":
        return replace(whole, texts=_translations(given, problems))
    score = _ratios(given, problems)
    scores = _scores(given, problems)
    predicted = None if given.predicted is None else texts(given.predicted)
    if kind == "binary":
        if scores is not None:
            score = _filled(score, scores[:, given.spec.classes.index(given.spec.positive)])
        predicted = _decided(given, predicted, score, problems)
    else:
        predicted = _needed(given, predicted, problems)
        if scores is not None:
            score = _filled(score, _of_class(given.spec, scores, predicted))
    return replace(whole, predicted=predicted, score=score, scores=scores)


def _needed(given: Given, predicted: Coded | None, problems: Problems) -> Coded:
    if predicted is None:
        predicted = Coded((), np.full(len(given.rows), -1, dtype=np.intp))
    problems.add_rows(given.rows[predicted.codes < 0], "predicted", f"is needed for a {given.spec.quality.kind} model")
    return predicted


def _decided(given: Given, predicted: Coded | None, score: Floats | None, problems: Problems) -> Coded:
    """The class of a binary model, by the threshold where only a score was given."""
    missing = np.ones(len(given.rows), np.bool_) if predicted is None else predicted.codes < 0
    if predicted is not None and not missing.any():
        return predicted
    spec = given.spec
    known = predicted or Coded((), np.full(len(given.rows), -1, dtype=np.intp))
    if score is None:
        score = np.full(len(given.rows), np.nan)
    problems.add_rows(
        given.rows[missing & np.isnan(score)], "predicted", "this or `score` is needed for a binary model"
    )
    negative = next(name for name in spec.classes if name != spec.positive)
    values = (*known.values, *(name for name in (negative, spec.positive) if name not in known.values))
    by_score = np.where(score >= spec.quality.threshold, values.index(spec.positive), values.index(negative))
    return Coded(values, np.where(missing, by_score, known.codes))


def _filled(score: Floats | None, other: Floats) -> Floats:
    return other if score is None else np.where(np.isnan(score), other, score)


def _of_class(spec: Spec, scores: Floats, predicted: Coded) -> Floats:
    """The probability of each row's predicted class; NaN where it is not among the classes."""
    places = {name: place for place, name in enumerate(spec.classes)}
    chosen = predicted.looked_up(lambda name: places.get(name, -1), -1)
    of_class: Floats = np.where(chosen < 0, np.nan, scores[np.arange(len(chosen)), chosen])
    return of_class


def _ratios(given: Given, problems: Problems) -> Floats | None:
    if given.score is not None:
        outside = (given.score < 0) | (given.score > 1)
        problems.add_rows(given.rows[outside], "score", "Expected a probability from 0 to 1")
    return given.score


def _scores(given: Given, problems: Problems) -> Floats | None:
    scores = given.scores
    if scores is None:
        return None
    there = ~np.isnan(scores).all(axis=1)
    with np.errstate(invalid="ignore", over="ignore"):
        outside = there & ~((scores >= 0) & (scores <= 1)).all(axis=1)
        unequal = there & ~outside & ~(np.abs(scores.sum(axis=1) - 1) <= _SUM_TOLERANCE)
    problems.add_rows(given.rows[outside], "scores", "Expected probabilities from 0 to 1")
    problems.add_rows(given.rows[unequal], "scores", "Expected probabilities whose sum is 1")
    return scores


def _numbers(given: Given, field: str, column: Column | None, problems: Problems) -> Floats:
    """A needed column of finite numbers."""
    size, kind = len(given.rows), given.spec.quality.kind
    if column is None:
        column = np.full(size, np.nan)
    if isinstance(column, Coded):
        problems.add_rows(given.rows[_texts_in(column)], field, f"Expected a number, as this is a {kind} model")
        return np.zeros(size)
    problems.add_rows(given.rows[np.isnan(column)], field, f"is needed for a {kind} model")
    problems.add_rows(given.rows[np.isinf(column)], field, "Expected a finite number")
    return column


def _texts_in(column: Coded) -> Mask:
    """The rows to blame when texts stand where numbers are wanted, be it beside numbers that became texts with them."""
    there = column.codes >= 0
    wrong = there & np.isnan(as_numbers(column))
    return wrong if wrong.any() else there


def _translations(given: Given, problems: Problems) -> list[str]:
    coded = _needed(given, None if given.predicted is None else texts(given.predicted), problems)
    values = (*coded.values, "")  # -1 is the last entry, and refused
    return [values[code] for code in coded.codes.tolist()]


def _features(given: Given, problems: Problems) -> Mapping[str, Floats | Coded]:
    kinds = given.spec.features
    return {
        name: _feature(given, name, column, problems) if kinds[name] == "numeric" else texts(column)
        for name, column in given.features.items()
    }


def _feature(given: Given, name: str, column: Column, problems: Problems) -> Floats:
    if isinstance(column, Coded):
        text = "Expected a number, as this is a numeric feature"
        problems.add_rows(given.rows[_texts_in(column)], f"features.{name}", text)
        return np.full(len(column), np.nan)
    return column


def _segments(given: Given) -> Mapping[str, Coded]:
    return {name: column for name, column in given.segments.items() if not is_missing(column).all()}


def _actual(given: Given, problems: Problems) -> Column | None:
    actual, kind = given.actual, given.spec.quality.kind
    if actual is None or given.spec.model == OTHER or kind not in ("regression", "ranking"):
        return actual
    numbers, there = as_numbers(actual), ~is_missing(actual)
    fine = np.isfinite(numbers) if kind == "regression" else (numbers == 0) | (numbers == 1)
    wanted = "a finite number" if kind == "regression" else "0 or 1"
    problems.add_rows(given.rows[there & ~fine], "actual", f"Expected {wanted}, as this is a {kind} model")
    return actual


def _class_or_none(given: Given, size: int) -> Coded:
    if given.predicted is None:
        return Coded((), np.full(size, -1, dtype=np.intp))
    return texts(given.predicted)


def _times(given: Given, now: float, problems: Problems) -> Floats:
    if given.at is None:
        return np.full(len(given.rows), now)
    _seconds(given, "timestamp", given.at, problems)
    late = given.rows[given.at > now + FUTURE_MAX]
    problems.add_rows(late, "timestamp", "is more than a day in the future; times are seconds since the epoch")
    return np.where(np.isnan(given.at), now, given.at)


def _seconds(given: Given, field: str, column: Floats | None, problems: Problems) -> Floats | None:
    if column is not None:
        problems.add_rows(given.rows[(column < 0) | np.isinf(column)], field, "Expected a finite number >= 0")
    return column


def _apart(given: Given, whole: Predictions) -> list[Predictions]:
    """Rows with and without id, features and label are predictions of their own."""
    size = len(given.rows)
    labelled = None if whole.actual is None else ~is_missing(whole.actual)
    masks = (None if given.ids is None else given.ids.known, given.featured if whole.features else None, labelled)
    sets = np.zeros(size, dtype=np.int8)
    for bit, mask in enumerate(masks):
        sets |= (_all(mask, size) << bit).astype(np.int8)
    counts = np.bincount(sets, minlength=8)
    return [
        _with_columns(whole if counts[each] == size else whole.take(np.flatnonzero(sets == each)), int(each))
        for each in np.flatnonzero(counts)
    ]


def _all(mask: Mask | None, size: int) -> Mask:
    return np.ones(size, np.bool_) if mask is None else mask


def _with_columns(part: Predictions, columns: int) -> Predictions:
    if not columns & 1:
        part = replace(part, keys=None)
    if not columns & 2:
        part = replace(part, features={})
    return part if columns & 4 else replace(part, actual=None)
