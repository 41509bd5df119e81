"""The few phrases of PromQL that the rules share."""

from __future__ import annotations

MODEL = "serving, model_name"
VERSION = f"{MODEL}, model_version"
FEATURE = f"{VERSION}, feature, ref"

CANDIDATE = "model_version:airbag_quality_version_role:candidate"
STABLE = "model_version:airbag_quality_version_role:stable"


def increase(by: str, counter: str, window: str) -> str:
    """How much a counter grew over all replicas. The sum comes last, so that a replica's restart does no harm."""
    return f"sum by ({by}) (increase({counter}[{window}]))"


def each_bin(cumulative: str, by: str) -> str:
    """The own count of every bin, named by `prev`: its cumulative count less that of the bin that `prev` names."""
    return f'{cumulative} - on ({by}, prev) label_replace({cumulative}, "prev", "$1", "bin", "(.*)")'


def root(expr: str) -> str:
    """The square root. Sums of fractions differ in their last digit, and the root of a hair below 0 is NaN."""
    return f"sqrt(clamp_min({expr}, 0))"


def of_kind(kinds: str) -> str:
    """Keeps the versions of models of these kinds, where other kinds count something else under the same name."""
    return f'and on ({MODEL}) airbag_quality_model_info{{kind{"=~" if "|" in kinds else "="}"{kinds}"}}'


LABELS_MIN = f"on ({MODEL}) group_left () max by ({MODEL}) (airbag_quality_labels_min)"
"""Completes `rows >=` or `rows >= bool`: what exporters.yml wants to see before there is a verdict."""
