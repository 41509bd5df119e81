"""The few phrases of PromQL that the rules share."""

from __future__ import annotations

MODEL = "serving, model_name"
VERSION = f"{MODEL}, model_version"

SUFFICIENT = "model_version:airbag_quality_labelled:sufficient"


def increase(by: str, counter: str, window: str) -> str:
    """How much a counter grew over all replicas. The sum comes last, so that a replica's restart does no harm."""
    return f"sum by ({by}) (increase({counter}[{window}]))"


def previous(cumulative: str) -> str:
    """The same cumulative counts, each under the name that its successor calls `prev`."""
    return f'label_replace({cumulative}, "prev", "$1", "bin", "(.*)")'


def root(expr: str) -> str:
    """The square root. Sums of fractions differ in their last digit, and the root of a hair below 0 is NaN."""
    return f"sqrt(clamp_min({expr}, 0))"


def of_kind(kinds: str) -> str:
    """Keeps the versions of models of these kinds, where other kinds count something else under the same name."""
    return f'and on ({MODEL}) airbag_quality_model_info{{kind=~"{kinds}"}}'
