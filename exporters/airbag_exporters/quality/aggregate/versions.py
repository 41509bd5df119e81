"""How good the answers of each version are: classes, probabilities, numbers, translations."""

from __future__ import annotations

import numpy as np

from airbag_exporters.quality.aggregate import arithmetic as the
from airbag_exporters.quality.aggregate.arithmetic import Floats
from airbag_exporters.quality.aggregate.window import Window
from airbag_exporters.quality.counting import families
from airbag_exporters.quality.noise import STANDARD_ERRORS

_ORDERS = ("1", "2", "3", "4")


def verdict(window: Window) -> None:
    """Labelled rows, accuracy and F1."""
    versions, classes = window.plan.versions, window.plan.classes
    labelled = window.record(versions, "labelled", "increase", window.sum(versions, families.LABELLED.name))
    enough = np.where(labelled >= window.plan.labels_min, 1.0, 0.0)
    window.record(
        versions, "labelled", "sufficient", np.where(np.isnan(labelled + window.plan.labels_min), np.nan, enough)
    )
    right = window.sum(versions, families.LABELLED.name, correct="true")
    accuracy = window.record(versions, "accuracy", "ratio", the.ratio(right, labelled))
    stderr = window.record(versions, "accuracy", "stderr", the.share_stderr(accuracy, labelled))
    window.record(versions, "accuracy", "upper_bound", accuracy + STANDARD_ERRORS * stderr)
    tp, predicted, actual = (
        window.record(classes, kind, "increase", window.sum(classes, families.CLASS.name, kind=kind))
        for kind in ("tp", "predicted", "actual")
    )
    f1 = window.record(classes, "f1", "ratio", the.f1(tp, predicted, actual))
    by_version = window.plan.by_class
    macro = the.present_sum(by_version, f1) / the.present_count(by_version, f1)
    window.record(versions, "f1_macro", "ratio", macro)


def classification(window: Window) -> None:
    """Precision and recall, after `verdict`. Macro averages are over classes that were predicted or occurred."""
    versions, classes = window.plan.versions, window.plan.classes
    by_version = window.plan.by_class
    seen = the.present_count(by_version, window.of(classes, "f1", "ratio"))
    tp = window.of(classes, "tp", "increase")
    for metric, among in (("precision", "predicted"), ("recall", "actual")):
        rows = window.of(classes, among, "increase")
        share = window.record(classes, metric, "ratio", the.ratio(tp, rows))
        window.record(classes, metric, "stderr", the.share_stderr(share, rows))
        window.record(versions, f"{metric}_macro", "ratio", the.present_sum(by_version, share) / seen)


def regression(window: Window) -> None:
    """How far numbers are off, after `verdict`."""
    versions = window.plan.versions
    rows = window.of(versions, "labelled", "increase")
    squares = window.sum(versions, families.SQUARED_ERROR.name) * window.plan.of_kind("regression")
    window.record(versions, "squared_error", "increase", squares)
    mae = the.ratio(window.sum(versions, families.ABSOLUTE_ERROR.name), rows)
    window.record(versions, "mae", "mean", mae)
    window.record(versions, "mae", "stderr", the.mean_stderr(squares, mae, rows))
    window.record(versions, "rmse", "root", the.root(the.ratio(squares, rows)))
    window.record(versions, "bias", "mean", the.ratio(_signed(window, families.ERROR.name), rows))
    total, total_squared = _signed(window, families.TARGET.name), window.sum(versions, families.TARGET_SQUARED.name)
    window.record(versions, "r2", "ratio", the.r2(squares, total, total_squared, rows))


def _signed(window: Window, family: str) -> Floats:
    above, below = (window.sum(window.plan.versions, family, sign=sign) for sign in ("positive", "negative"))
    return above - below


def translation(window: Window) -> None:
    """Corpus BLEU and TER."""
    versions = window.plan.versions
    matches, ngrams = (
        np.column_stack([window.sum(versions, family.name, order=order) for order in _ORDERS])
        for family in (families.NGRAM_MATCHES, families.NGRAMS)
    )
    output = window.sum(versions, families.OUTPUT_TOKENS.name)
    reference = window.sum(versions, families.REFERENCE_TOKENS.name)
    words = window.sum(versions, families.TER_WORDS.name)
    window.record(versions, "bleu_output_tokens", "increase", output)
    window.record(versions, "bleu", "score", the.bleu(matches, ngrams, output, reference))
    window.record(versions, "ter", "ratio", the.ratio(window.sum(versions, families.TER_EDITS.name), words))


def predictions(window: Window) -> None:
    """What is predicted, before any label is known, and how much of it is labelled; after `verdict`."""
    versions, predicted = window.plan.versions, window.plan.predicted
    by_version = window.plan.by_predicted
    counts = window.sum(predicted, families.PREDICTIONS.name)
    window.record(predicted, "predictions", "increase", counts)
    rows = window.record(versions, "predictions", "increase", window.sum(versions, families.PREDICTIONS.name))
    is_class = np.array([row[-1] != "" for row in predicted.rows], np.bool_)
    shares = np.where(is_class, the.ratio(counts, rows[by_version.of]), np.nan)
    window.record(predicted, "predictions", "ratio", shares)
    window.record(versions, "prediction_class_entropy", "nats", the.entropy(by_version, shares))
    nats = window.sum(versions, families.ENTROPY.name)
    mean = the.ratio(nats, window.sum(versions, families.ENTROPY_ROWS.name))
    window.record(versions, "prediction_entropy", "mean_nats", mean)
    labelled = window.of(versions, "labelled", "increase")
    window.record(versions, "labelled_per_prediction", "ratio", the.ratio(labelled, rows))
