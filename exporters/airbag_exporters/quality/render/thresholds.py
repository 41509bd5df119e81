"""The thresholds that rules compare with, each shown as a series of its own beside the values."""

from __future__ import annotations

from collections.abc import Mapping

from airbag.exposition import Family
from airbag.serving.groups import Expectations
from airbag_exporters.quality.counting.families import MODEL

LABELS_MIN = "labels_min"

_TEXTS = {
    "accuracy_min": "Accuracy below which a version is bad.",
    "accuracy_drop_max": "How far accuracy may be below that of the version before.",
    LABELS_MIN: "Labels in the rules' window below which there is no verdict.",
    "f1_min": "Macro F1 below which people are told.",
    "f1_drop_max": "How far macro F1 may be below that of the version before.",
    "psi_max": "Population stability index above which a feature has drifted.",
    "ks_max": "Kolmogorov-Smirnov distance above which a feature has drifted.",
    "entropy_shift_max": "How far the mean entropy of predictions may move.",
    "missing_ratio_max": "How much more often than in the reference values may be missing.",
    "label_delay_max": "Age by which nine in ten labels should have come.",
}
_UNITS = {"entropy_shift_max": "_nats", "label_delay_max": "_seconds"}

THRESHOLDS: Mapping[str, Family] = {
    key: Family(f"airbag_quality_{key}{_UNITS.get(key, '')}", "gauge", text, MODEL) for key, text in _TEXTS.items()
}
"""By the key of `expect` in exporters.yml."""


def thresholds(expect: Expectations) -> dict[str, float]:
    """Those that a model has."""
    found = {key: getattr(expect, key) for key in THRESHOLDS}
    return {key: float(value) for key, value in found.items() if value is not None}
