"""Rules, alert texts and the receiver's queries ask only for what the exporters export.

What is exported stands in the golden scrapes, `tests/golden/*.prom`: every series of a real page, without its value.
Those of Prometheus and Alertmanager are there too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import promql_parser as ast
import pytest

from airbag.rules import PROFILES
from airbag.serving.quality import KINDS
from airbag_rollback.prove import ANSWERED, STANDING
from airbag_rollback.signals import SERVER_S_FAULT, SIGNALS, fill
from airbag_rollback.world import INPUTS, REQUESTS, REQUESTS_THEN
from tests.fakes import exported, promql
from tests.fakes.binaries import ROOT
from tests.prometheus.lint.alerts import queries
from tests.prometheus.lint.world import World, world

_BOUNDED = {"status", "correct", "kind", "role", "bin", "category", "sign", "part", "outcome", "state"}
"""Labels with few values, all of which the golden scrapes show."""
_OWN = {"ALERTS": frozenset({"alertname", "alertstate", "airbag_action", "serving", "model_name", "model_version"})}
"""What Prometheus writes itself, with the labels of rollback alerts."""
_WORDS = re.compile(r"[\w|]+")
"""A pattern that only lists values."""


@pytest.fixture(scope="module")
def fast() -> World:
    return world("fast")


@pytest.fixture(scope="module")
def values() -> dict[str, dict[str, set[str]]]:
    """For every exported sample name, for every label its values."""
    found: dict[str, dict[str, set[str]]] = {}
    for job in exported.pages():
        for family in exported.families(job):
            for sample in family.samples:
                labels = found.setdefault(sample.name, {})
                for name, value in sample.labels.items():
                    labels.setdefault(name, set()).add(value)
    return found


def _asked() -> Iterator[tuple[str, str]]:
    """Everything that asks for a series: where it stands, and its PromQL."""
    for rule in world("fast").rules:
        yield rule.name, rule.expr
        for text in rule.annotations.values():
            for query in queries(text):
                yield f"a text of {rule.name}", query
    for name, signal in SIGNALS.items():
        for query in (signal.value, signal.threshold, signal.age, signal.samples, signal.samples_min, signal.history,
                      signal.history_samples, signal.recovered, signal.others, signal.good, signal.lately):  # fmt: skip
            if query:
                yield f"the receiver's judgement of {name}", fill(query, "main", "digits", 3, PROFILES["fast"])
    for query in (REQUESTS, REQUESTS_THEN, INPUTS, ANSWERED.replace("$range", "15"), STANDING):
        yield "the receiver's look around", fill(query, "main", "digits", 3, PROFILES["fast"])


ASKED = list(dict.fromkeys(_asked()))
EACH = pytest.mark.parametrize(("where", "query"), ASKED, ids=[where for where, _ in ASKED])


@EACH
def test_every_series_that_is_asked_for_exists(where: str, query: str, fast: World) -> None:
    for name in promql.series(_filled(query)):
        assert fast.knows(name) or name in _OWN, f"{where}: nobody exports {name}"


@EACH
def test_every_label_that_is_matched_or_summed_by_exists(where: str, query: str, fast: World) -> None:
    def labels(series: str) -> frozenset[str]:
        return _OWN.get(series) or fast.labels(series)

    for node in promql.nodes(promql.read(_filled(query))):
        if isinstance(node, ast.VectorSelector):
            for matcher in node.matchers.matchers:
                assert matcher.name in labels(str(node.name)), f"{where}: {node.name} has no label {matcher.name}"
        if isinstance(node, ast.AggregateExpr) and node.modifier:
            lost = set(node.modifier.labels) - promql.labels(node.expr, labels)
            assert not lost, f"{where}: {node.op} by {lost}"


def test_a_label_value_that_is_named_is_one_that_exists(values: dict[str, dict[str, set[str]]]) -> None:
    """A misspelt status would silently count as an error, a misspelt `correct` as nothing at all."""
    assert values["airbag_quality_labelled_total"]["correct"] >= {"true", "false"}
    for where, query in ASKED:
        for selector in promql.selectors(promql.read(_filled(query))):
            name = str(selector.name)
            for matcher in selector.matchers.matchers:
                if matcher.name in _BOUNDED and name in values and _WORDS.fullmatch(matcher.value):
                    info = matcher.name == "kind" and name.endswith("_info")
                    known = set(KINDS) if info else values[name].get(matcher.name, set())
                    for value in matcher.value.split("|"):
                        assert value in known, f"{where}: no {name} has {matcher.name}={value}"
    statuses = values["airbag_tfs_requests_total"]["status"]
    assert {"INTERNAL", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "UNAVAILABLE"} <= statuses


def test_an_alert_that_is_asked_for_exists(fast: World) -> None:
    alerts = {rule.name for rule in fast.rules if rule.is_alert}
    named = {
        matcher.value
        for _, query in ASKED
        for selector in promql.selectors(promql.read(_filled(query)))
        for matcher in selector.matchers.matchers
        if matcher.name == "alertname"
    }
    assert named
    assert named <= alerts


def test_what_is_asked_of_the_whole_page_is_read() -> None:
    """The other tests rest on it."""
    found = promql.series(
        'sum by (a) (increase(airbag_x_total{b!~"c|d"}[15s])) / (model_version:airbag_y:ratio15s > 0)'
    )
    assert found == ["airbag_x_total", "model_version:airbag_y:ratio15s"]
    assert {"up", "airbag_tfs_probe_success"} <= {name for _, query in ASKED for name in promql.series(_filled(query))}


def _filled(query: str) -> str:
    """What the receiver fills in stands for itself."""
    return re.sub(r"\$\{?(\w+)\}?", r"\1", query)


def test_what_counts_as_an_error_is_the_same_for_the_rules_and_for_the_receiver() -> None:
    rules = (ROOT / "prometheus" / "rules" / "serving.yml").read_text()
    assert SERVER_S_FAULT in rules
    assert SERVER_S_FAULT in SIGNALS["AirbagErrorRatioHigh"].lately
