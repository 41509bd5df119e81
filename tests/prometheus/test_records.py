"""What the records say of counted rows is what scikit-learn, scipy, sacrebleu and plain sums say of the rows.

Two replicas share the rows unevenly, and one of them loses its counters half way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.fakes import shipped
from tests.prometheus.records import (
    classification,
    comparison,
    drift,
    labels,
    pipelines,
    predictions,
    regression,
    scores,
    serving,
    slo,
    translation,
)
from tests.prometheus.records.levels import labels_of
from tests.prometheus.records.promtool import Case, verify

CASES: Mapping[str, Callable[[], Case]] = {
    "classification": classification.case,
    "scores": scores.case,
    "predictions": predictions.case,
    "labels": labels.case,
    "regression": regression.case,
    "translation": translation.case,
    "drift": drift.case,
    "drift of few rows": drift.seldom,
    "references that differ": drift.mismatch,
    "candidate and stable version": comparison.case,
    "stable version without traffic": comparison.stable_without_traffic,
    "stable version long gone": comparison.stable_long_gone,
    "stable version that loses its traffic": comparison.draining,
    "candidate and stable version of a regression": comparison.numbers,
    "pipelines": pipelines.case,
    "serving": serving.case,
    "budgets": slo.case,
}
_BUSY = (
    "classification",
    "scores",
    "predictions",
    "regression",
    "translation",
    "drift",
    "candidate and stable version",
    "serving",
    "budgets",
)
# Counts are 0, references and budgets stay what they are; every other record is a statement about rows.
_COUNTS = re.compile(r":(increase|sufficient|rate)\d+[smhd]$|:budget_ratio$|_reference:|version_role:")
# Steps on the way to what is tested.
_STEPS = re.compile(
    r"^(model\w*_(bin|order|actual|predicted|category):|model_version:airbag_quality_version_role:)|:(sufficient|full)_"
)


@cache
def built(name: str) -> Case:
    """A case, built once."""
    return CASES[name]()


@pytest.mark.parametrize("name", CASES)
def test_records_of_two_replicas_say_what_the_libraries_say_of_the_rows(name: str, tmp_path: Path) -> None:
    verify(built(name), tmp_path)


@pytest.mark.parametrize("name", _BUSY)
def test_without_traffic_nothing_is_said(name: str, tmp_path: Path) -> None:
    busy = built(name)
    still = {
        key: [values[-1]] * len(values) if "_total{" in key else list(values) for key, values in busy.series.items()
    }
    absent = sorted({sample.record for sample in busy.expected if not _COUNTS.search(sample.record)})
    assert absent
    verify(replace(busy, series=still, expected=(), absent=absent), tmp_path)


def test_the_window_of_the_verdict_says_the_same_of_fifteen_seconds(tmp_path: Path) -> None:
    case = classification.case("15s", seconds=15)
    recorded = {rule["record"] for rule in shipped.rules() if "record" in rule}
    told = [sample for sample in case.expected if sample.record in recorded]
    assert "model_version:airbag_quality_accuracy:ratio15s" in {sample.record for sample in told}
    verify(replace(case, expected=told), tmp_path)


@pytest.mark.parametrize("name", CASES)
def test_a_record_has_the_labels_of_its_level(name: str) -> None:
    """Those in the case; promtool says that the record has the same."""
    for sample in built(name).expected:
        assert set(sample.labels) == labels_of(sample.record), sample.record


def test_every_record_is_held_against_rows() -> None:
    held = {_any_window(sample.record) for name in CASES for sample in built(name).expected}
    recorded = {_any_window(rule["record"]) for rule in shipped.rules() if "record" in rule}
    assert {record for record in recorded if not _STEPS.search(record)} <= held


def _any_window(record: str) -> str:
    """A family says the same for every window, only of other rows."""
    return re.sub(r"(?<=[a-z_])\d+[smhd]$", "W", record)
