"""Which labels a record has, by the first part of its name."""

from __future__ import annotations

from collections.abc import Mapping

_MODEL = frozenset({"serving", "model_name"})
_VERSION = _MODEL | {"model_version"}
_FEATURE = _VERSION | {"feature", "ref"}

LEVELS: Mapping[str, frozenset[str]] = {
    "model": _MODEL,
    "model_version": _VERSION,
    "model_version_class": _VERSION | {"class"},
    "model_version_predicted": _VERSION | {"predicted"},
    "model_version_order": _VERSION | {"order"},
    "model_version_actual": _VERSION | {"ref", "actual"},
    "model_version_bin": _VERSION | {"ref", "actual", "bin", "prev"},
    "model_version_feature": _FEATURE,
    "model_version_feature_bin": _FEATURE | {"bin", "prev", "category"},
    "model_version_feature_category": _FEATURE | {"category"},
    "model_feature": _MODEL | {"feature", "ref"},
    "model_feature_bin": _MODEL | {"feature", "ref", "prev", "category"},
    "pipeline": frozenset({"pipeline"}),
}
"""Bins have no category, and categories no bin; theirs are all that there can be."""


def labels_of(record: str) -> frozenset[str]:
    """The labels of a record."""
    return LEVELS[record.partition(":")[0]]
