"""What a rule can get wrong although Prometheus accepts it, looked for in every rule of both profiles.

The checks are those of pint, as far as they can be answered without a running Prometheus. For each there are rules
here that it must refuse.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping

import pytest

from airbag.rules import PROFILES
from tests.fakes import promql
from tests.prometheus.lint import alerts, joins, series, times
from tests.prometheus.lint.world import Rule, World, world

Check = Callable[[Rule, World], Iterator[str]]
CHECKS: tuple[Check, ...] = (
    series.exists,
    series.matchers,
    series.functions,
    series.counters,
    series.units,
    series.divisions,
    joins.aggregations,
    joins.joins,
    joins.levels,
    joins.conflicts,
    times.ranges,
    times.holds,
    times.groups,
    alerts.compares,
    alerts.texts,
    alerts.values_in_labels,
    alerts.twice,
    alerts.unused,
)
RECORD = Rule(
    name="model:airbag_tfs_requests:rate5m", is_alert=False, expr="1", file="serving.yml", group="airbag-x",
    interval=1, hold=None, labels={}, annotations={},
)  # fmt: skip
ALERT = dataclasses.replace(RECORD, name="AirbagX", is_alert=True)
UP = "max by (serving, target) (airbag_tfs_up)"
WRONG: Mapping[Check, tuple[tuple[Rule, str, str], ...]] = {
    series.exists: (
        (RECORD, "airbag_tfs_requests", "nothing exports airbag_tfs_requests"),
        (RECORD, 'airbag_tfs_up{model_name="a"}', "airbag_tfs_up has no label model_name"),
    ),
    series.matchers: (
        (RECORD, 'airbag_tfs_up{serving=~"main"}', "serving=main is no pattern"),
        (RECORD, 'airbag_tfs_up{serving=~"^m.*"}', "^m.* is anchored anyway"),
        (RECORD, 'airbag_tfs_request_duration_seconds_bucket{le="0.1"}', "names the value 0.1 of le"),
    ),
    series.functions: ((RECORD, "topk(3, airbag_tfs_up)", "uses topk"), (RECORD, "irate(up[1m])", "uses irate")),
    series.counters: (
        (RECORD, "rate(airbag_tfs_up[1m])", "rate of airbag_tfs_up, which is no counter"),
        (RECORD, "rate(model:airbag_tfs_requests:rate5m[1m])", "which is no counter"),
        (RECORD, "delta(airbag_tfs_requests_total[1m])", "delta of airbag_tfs_requests_total, which is a counter"),
        (RECORD, "airbag_tfs_requests_total > 5", "takes the number of the counter airbag_tfs_requests_total"),
    ),
    series.units: (
        (RECORD, "increase(airbag_tfs_up[1m])", "which has no _total"),
        (RECORD, "time() - airbag_tfs_up", "time() less airbag_tfs_up, which is no time"),
    ),
    series.divisions: (
        (RECORD, "airbag_tfs_up / airbag_tfs_up", "divides by airbag_tfs_up, which can be 0"),
        (RECORD, "1 / sum(airbag_tfs_up < 5)", "which can be 0"),
        (RECORD, "1 / (airbag_tfs_up >= 0)", "which can be 0"),
        (RECORD, "1 / (airbag_tfs_up - (airbag_tfs_up > 0))", "which can be 0"),
        (RECORD, "1 / clamp_min(airbag_tfs_up, 0)", "which can be 0"),
        (RECORD, "1 / quantile_over_time(0.5, airbag_tfs_up[1m])", "which can be 0"),
    ),
    joins.aggregations: ((RECORD, "sum by (serving, model) (airbag_tfs_up)", "sum by model, which is not there"),),
    joins.joins: (
        (RECORD, f"airbag_tfs_up and {UP}", "and: only one side has instance"),
        (RECORD, f"{UP} * on (serving, job) airbag_tfs_up", "*: only one side has job"),
        (RECORD, f"{UP} * on (model) airbag_tfs_up", "*: only one side has model"),
        (RECORD, f"{UP} > ignoring (target) airbag_tfs_up", "only one side has job"),
    ),
    joins.levels: (
        (RECORD, UP, "has the labels serving, target"),
        (dataclasses.replace(RECORD, name="server:airbag_x:y"), UP, "server is no level"),
    ),
    joins.conflicts: (
        (dataclasses.replace(ALERT, labels={"job": "x"}), UP, "sets the label job"),
        (dataclasses.replace(RECORD, labels={"a": "x"}), UP, "is a record with labels of its own"),
    ),
    times.ranges: (
        (RECORD, "increase(airbag_tfs_requests_total[3s])", "3 s of airbag_tfs_requests_total, which comes every 1 s"),
        (RECORD, "max_over_time(airbag_tfs_up[16d])", "reaches further back"),
        (RECORD, "airbag_tfs_up offset 16d", "reaches further back"),
        (RECORD, 'max_over_time(up{job="prometheus"}[45s])', "45 s of up, which comes every 15 s"),
        (RECORD, "avg_over_time(model:airbag_tfs_requests:rate5m[30s])", "which comes every 15 s"),
    ),
    times.holds: (
        (dataclasses.replace(ALERT, hold=0), f"{UP} == 0", "for 0 s, and a number comes every 1 s"),
        (dataclasses.replace(ALERT, hold=20), 'up{job=~"prom.*"} == 0', "for 20 s, and a number comes every 15 s"),
        (dataclasses.replace(ALERT, hold=30, interval=60), f"{UP} == 0", "for 30 s, and is looked at every 60 s"),
        (ALERT, f"{UP} == 0 or absent(airbag_tfs_up)", "takes the first absence for the truth"),
    ),
    times.groups: ((dataclasses.replace(RECORD, interval=600), UP, "its group runs every 600 s"),),
    alerts.compares: (
        (ALERT, UP, "fires on any number"),
        (ALERT, f"{UP} > bool 0", "fires on any number"),
        (ALERT, f"{UP} == 0 or {UP}", "fires on any number"),
    ),
    alerts.texts: tuple(
        (dataclasses.replace(ALERT, annotations={"description": text}), f"{UP} == 0", problem)
        for text, problem in (
            ("{{ $labels.instance }}", "description names the label instance, which the alert does not have"),
            ("{{ $value }} of them", "description shows a number as it is"),
            ('{{ range query "airbag_x" }}{{ end }}{{ "airbag_x" | query }}', "asks for airbag_x, which nothing"),
            ("{{ printf \"airbag_tfs_up{model='%s'}\" $labels.target | query }}", "asks airbag_tfs_up for the label"),
            ('{{ range $i, $x := "airbag_tfs_up" | query }}{{ $x.Labels.code }}{{ end }}', "shows the label code"),
        )
    ),
    alerts.values_in_labels: (
        (dataclasses.replace(ALERT, labels={"severity": "{{ $value }}"}), UP, "the label severity is a template"),
    ),
    alerts.twice: (
        (RECORD, "sum(rate(airbag_tfs_requests_total[5m]))", "stands there twice"),
        (
            dataclasses.replace(RECORD, name="model:airbag_x:y", group="airbag-slo-rates"),
            "SAME",
            "says the same as model:airbag_tfs_requests:",
        ),
    ),
    alerts.unused: ((dataclasses.replace(RECORD, name="model:airbag_x:y"), UP, "nobody uses it"),),
}


def _name(check: Check) -> str:
    return f"{check.__module__.rpartition('.')[2]}.{check.__name__}"


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("check", CHECKS, ids=_name)
def test_no_rule_has_the_fault(check: Check, profile: str) -> None:
    here = world(profile)
    assert [f"{rule.name}: {problem}" for rule in here.rules for problem in check(rule, here)] == []


@pytest.mark.parametrize("check", CHECKS, ids=_name)
def test_a_check_finds_its_fault(check: Check) -> None:
    for rule, expr, problem in WRONG[check]:
        real = world("fast")
        same = real.records[RECORD.name].expr
        wrong = dataclasses.replace(rule, expr=same if expr == "SAME" else expr)
        here = dataclasses.replace(real, rules=(*real.rules, wrong)) if check is alerts.twice else real
        found = list(check(wrong, here))
        assert any(problem in each for each in found), f"{wrong.expr}: {found}"


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("sum by (serving) (airbag_tfs_up)", "serving"),
        ("sum without (job, instance) (airbag_tfs_up)", "serving target"),
        ("max(airbag_tfs_up)", ""),
        ('count_values by (serving) ("version", airbag_tfs_up)', "serving version"),
        ('label_replace(max(airbag_tfs_up), "x", "1", "", "")', "x"),
        ("histogram_quantile(0.9, sum by (le, api) (airbag_tfs_request_duration_seconds_bucket))", "api"),
        ('absent(up{job="a",instance=~"b.*"})', "job"),
        (
            "max by (serving) (airbag_tfs_up) * on (serving) group_right (x) airbag_tfs_up",
            "instance job serving target x",
        ),
        ("airbag_tfs_up * on (serving) max by (serving) (airbag_tfs_up)", "serving"),
        ("airbag_tfs_up * ignoring (job) airbag_tfs_up", "instance serving target"),
        ("airbag_tfs_up and on (serving) max by (serving) (airbag_tfs_up)", "instance job serving target"),
        ("time() - (max by (serving) (airbag_tfs_up))", "serving"),
        ("vector(1)", ""),
        ("max_over_time((airbag_tfs_up > 0)[5m:1m])", "instance job serving target"),
    ],
)
def test_the_labels_that_an_expression_keeps_are_known(query: str, left: str) -> None:
    """Templates, joins and levels are checked by them."""
    assert promql.labels(promql.read(query), world("fast").labels) == set(left.split())


def test_every_template_of_a_text_is_read() -> None:
    """One that is written in another way would be checked by nobody."""
    for rule in world("fast").rules:
        for text in rule.annotations.values():
            assert len(alerts.queries(text)) == len(re.findall(r"\|\s*(?:query|graphLink)\b", text)), rule.name
