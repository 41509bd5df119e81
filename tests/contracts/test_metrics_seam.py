"""Rules, alert texts and the receiver's queries ask only for what the exporters export.

What is exported stands in the golden scrapes, `tests/golden/*.prom`: every series of a real page, without its value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from airbag.rules import PROFILES
from airbag.serving.quality import KINDS
from airbag_rollback.signals import SIGNALS
from tests.fakes import shipped
from tests.fakes.binaries import ROOT
from tests.prometheus.records.levels import labels_of

# Series that Prometheus makes by itself.
_BUILT_IN = {"up": {"job", "instance"}}
_SELECTOR = re.compile(r"(?<![\w:])((?:(?:model|pipeline)\w*:)?airbag_[\w:]+|up)\b(\{[^}]*\})?")
_FILTER = re.compile(r"\band on \([^)]*\) [\w:]+(\{[^}]*\})?")
_BOUNDED = {"status", "correct", "kind", "role", "bin", "category", "sign"}
_KINDS = set(KINDS)
_MATCHER = re.compile(r'([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*["\']([^"\']*)["\']')


Exported = dict[str, dict[str, set[str]]]
"""For every exported sample name its labels, and for every label its values."""


@pytest.fixture(scope="module")
def exported() -> Exported:
    found: Exported = {}
    for path in sorted((ROOT / "tests" / "golden").glob("*.prom")):
        page = re.sub(r"(?m)^([^#\n].*)$", r"\1 0", path.read_text())
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                labels = found.setdefault(sample.name, {})
                for name, value in sample.labels.items():
                    labels.setdefault(name, set()).add(value)
    return found


def _asked() -> Iterator[tuple[str, str]]:
    """Everything that asks for a series: where it stands, and its PromQL."""
    for rule in shipped.rules():
        name = rule.get("record") or rule["alert"]
        yield name, rule["expr"]
        for text in rule.get("annotations", {}).values():
            for query in re.findall(r'printf "([^"]*)"', text):
                yield f"a text of {name}", query
    for name, signal in SIGNALS.items():
        for query in (signal.value, signal.threshold, signal.age, signal.samples, signal.samples_min, signal.history,
                      signal.history_samples, signal.recovered):  # fmt: skip
            if query:
                yield f"the receiver's judgement of {name}", query.replace("$window", PROFILES["fast"].window)


ASKED = list(_asked())
RECORDED = {rule["record"] for rule in shipped.rules() if "record" in rule}


def _selectors(query: str) -> list[tuple[str, list[tuple[str, str, str]]]]:
    return [(name, _MATCHER.findall(braces or "")) for name, braces in _SELECTOR.findall(query)]


def test_the_reading_of_queries_finds_their_series() -> None:
    """The other tests rest on it."""
    found = _selectors('sum by (a) (increase(airbag_x_total{b!~"c|d"}[15s])) / (model_version:airbag_y:ratio15s > 0)')
    assert found == [("airbag_x_total", [("b", "!~", "c|d")]), ("model_version:airbag_y:ratio15s", [])]
    assert all(_selectors(query) for _, query in ASKED if query != "vector(0)" and query != "vector(1)")


@pytest.mark.parametrize(("where", "query"), ASKED, ids=[where for where, _ in ASKED])
def test_every_series_that_is_asked_for_exists(where: str, query: str, exported: Exported) -> None:
    for name, _ in _selectors(query):
        assert name in exported or name in RECORDED or name in _BUILT_IN, f"{where}: nobody exports {name}"


@pytest.mark.parametrize(("where", "query"), ASKED, ids=[where for where, _ in ASKED])
def test_every_label_that_is_matched_exists(where: str, query: str, exported: Exported) -> None:
    for name, matchers in _selectors(query):
        known = _labels(name, exported)
        for label, _, _ in matchers:
            assert label in known, f"{where}: {name} has no label {label}"


@pytest.mark.parametrize("rule", shipped.rules(), ids=lambda rule: str(rule.get("record") or rule["alert"]))
def test_every_label_that_is_summed_by_exists(rule: dict[str, str], exported: Exported) -> None:
    for labels, inner in _grouped(rule["expr"]):
        for name, _ in _selectors(inner):
            assert labels <= _labels(name, exported), f"{name} lacks {labels - _labels(name, exported)}"


def test_a_label_value_that_is_named_is_one_that_exists(exported: Exported) -> None:
    """A misspelt status would silently count as an error, a misspelt `correct` as nothing at all."""
    assert exported["airbag_quality_labelled_total"]["correct"] >= {"true", "false"}
    for where, query in ASKED:
        for name, matchers in _selectors(query):
            for label, operator, values in matchers:
                if label in _BOUNDED and name in exported:
                    known = _KINDS if label == "kind" and name.endswith("_info") else exported[name].get(label, set())
                    for value in values.split("|") if "~" in operator else [values]:
                        assert value in known, f"{where}: no {name} has {label}={value}"
    statuses = exported["airbag_tfs_requests_total"]["status"]
    assert {"INTERNAL", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "UNAVAILABLE"} <= statuses


@pytest.mark.parametrize("rule", [rule for rule in shipped.rules() if "tfs" in rule.get("record", "")], ids=str)
def test_a_record_of_the_server_has_the_labels_of_its_level(rule: dict[str, str]) -> None:
    """Those of the quality rules are compared series by series, in tests/prometheus."""
    outermost = [labels - {"le"} for labels, _ in _grouped(rule["expr"])]
    assert all(labels == labels_of(rule["record"]) for labels in outermost)


def _labels(name: str, exported: Exported) -> set[str]:
    if name in RECORDED:
        return set(labels_of(name))
    return set(_BUILT_IN.get(name) or exported.get(name, {}))


def _grouped(query: str) -> Iterator[tuple[set[str], str]]:
    """Each `by (labels) (inner)` of a query, without what only chooses series."""
    for hit in re.finditer(r"\bby \(([^)]*)\) \(", query):
        depth, end = 1, hit.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(query[end], 0)
            end += 1
        inner = query[hit.end() : end - 1]
        yield {label.strip() for label in hit[1].split(",")}, _FILTER.sub("", inner)
