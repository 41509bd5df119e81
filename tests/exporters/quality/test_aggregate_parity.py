"""The aggregator and the recording rules say the same of the same counters: every name, every label, every value."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from airbag.rules import RuleSettings
from airbag_exporters.quality.aggregate.fleet import Fleet
from airbag_exporters.quality.columns import Owner
from tests.exporters.quality.fleet_of_two import (
    CANDIDATE,
    STABLE,
    Replica,
    Sample,
    Version,
    by_rules,
    reference,
    spec,
    version,
)

WINDOWS = RuleSettings(quality=("1m",), drift=("1m",))
SECOND = 60
LEVELS = {
    "model",
    "model_version",
    "model_version_class",
    "model_version_predicted",
    "model_version_feature",
    "model_feature",
}
"""What is left out are steps on the way to these: single bins and the like, tens of thousands in a big fleet."""

PROMETHEUS_ONLY = re.compile("label_delay_seconds|_release_")
"""What needs the buckets of a histogram, and what a machine judges releases by."""

PROFILE, OTHER_COUNTS, OTHER_BINS = reference(1), reference(2), reference(3, bins=7)
KINDS = (
    spec("binary", "churn", PROFILE, ("no", "yes")),
    spec("multiclass", "digits", None, ("0", "1", "2", "3")),
    spec("regression", "price", PROFILE),
    spec("ranking", "hits"),
    spec("translation", "de-en"),
)
ROLES = {"3": STABLE, "4": CANDIDATE}


def replica(seed: int, *more: Version, roles: Mapping[str, str] = ROLES) -> Replica:
    """Two versions of every kind of model."""
    versions = [version(kind, number, seed + 10 * n + int(number)) for n, kind in enumerate(KINDS) for number in "34"]
    roled = {each.owner: roles[each.owner.version] for each in versions}
    return Replica([*versions, *more], roled)


def by_aggregator(replicas: Mapping[str, Replica], windows: RuleSettings = WINDOWS) -> dict[str, dict[Sample, float]]:
    """The same as `by_rules`, after a look at each replica in every second."""
    fleet = Fleet(windows)
    for second in range(SECOND + 1):
        for name, each in replicas.items():
            fleet.look(name, second, each.at(second))
        records = fleet.records(second)
    return {
        record.name: {
            frozenset((label, text) for label, text in zip(record.level.labels, row, strict=True) if text): value
            for row, value in zip(record.level.rows, record.values.tolist(), strict=True)
            if not math.isnan(value)
        }
        for record in records
    }


def assert_same(replicas: Mapping[str, Replica], folder: Path) -> dict[str, dict[Sample, float]]:
    rules = {
        name: found
        for name, found in by_rules(replicas, WINDOWS, SECOND, folder).items()
        if name.split(":")[0] in LEVELS and not PROMETHEUS_ONLY.search(name)
    }
    ours = by_aggregator(replicas)
    assert set(ours) == set(rules)
    for name, expected in rules.items():
        assert ours[name] == pytest.approx(expected, rel=1e-9, abs=1e-12), name
    return ours


def test_two_replicas_with_every_kind_of_model(tmp_path: Path) -> None:
    """Random counters, so that no number is what it should be by chance; many are 0."""
    ours = assert_same({"a": replica(2), "b": replica(3)}, tmp_path)
    assert {name for name, found in ours.items() if not found} == set()


def test_replicas_that_do_not_agree(tmp_path: Path) -> None:
    """Other bins, other counts for the same bins, other roles, and a version that only one has and that comes late."""
    churn, *_ = KINDS
    late = version(churn, "5", 77, begins=50)
    one = replica(3, replace(late, base=late.base.copy()))
    changed = {"churn": replace(churn, reference=OTHER_BINS), "price": replace(KINDS[2], reference=OTHER_COUNTS)}
    two = replica(4, roles={"3": STABLE, "4": STABLE})
    versions = [
        version(changed.get(each.owner.model, each.spec), each.owner.version, n) for n, each in enumerate(two.versions)
    ]
    roles = {**two.roles, Owner("main", "digits", "4"): CANDIDATE}
    ours = assert_same({"a": one, "b": Replica(versions, roles)}, tmp_path)
    mismatch = ours["model_version_feature:airbag_quality_reference:mismatch"]
    assert {dict(labels)["model_name"] for labels, value in mismatch.items() if value} == {"churn", "price"}
    assert ours["model_version:airbag_quality_version_role:stable"].keys() == {
        frozenset({("serving", "main"), ("model_name", "digits"), ("model_version", "3")}),
    }


def test_a_stable_version_without_traffic_is_remembered(tmp_path: Path) -> None:
    churn, *_ = KINDS
    versions = [version(churn, "3", 5, rate=20, ends=40), version(churn, "4", 6, rate=20)]
    roles = {each.owner: ROLES[each.owner.version] for each in versions}
    ours = assert_same({"a": Replica(versions, roles), "b": Replica(versions, roles)}, tmp_path)
    assert len(ours["model:airbag_quality_accuracy:difference15s"]) == 1
    now = ours["model_version:airbag_quality_accuracy:ratio15s"]
    assert [dict(labels)["model_version"] for labels in now] == ["4"]


def test_too_few_labels_are_no_evidence(tmp_path: Path) -> None:
    churn, *_ = KINDS
    versions = [version(churn, number, int(number)) for number in "34"]
    few = Replica(versions, {each.owner: ROLES[each.owner.version] for each in versions}, labels_min=10_000)
    ours = assert_same({"a": few, "b": few}, tmp_path)
    assert set(ours["model_version:airbag_quality_labelled:sufficient1m"].values()) == {0.0}
    assert ours["model:airbag_quality_accuracy:difference1m"] == {}
