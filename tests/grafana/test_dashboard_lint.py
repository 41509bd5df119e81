"""What dashboard-linter checks, and what it lacks: each of its rules by name, over the shipped files."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import promql_parser as ast
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard as Model

from grafana.src import house
from grafana.src.build import PAGES, files
from grafana.src.page import shown
from tests.fakes.dashboards import BUILT_IN, ROOT, Dashboard, asked, dashboards

ALL = dashboards()
GRAPHS = {"stat", "timeseries", "gauge"}
SURVIVING = {
    "timeseries", "stat", "gauge", "bargauge", "table", "heatmap", "state-timeline", "status-history", "text", "row",
}  # fmt: skip
UNITS = {
    "short", "none", "string", "percentunit", "s", "bytes", "reqps", "cps", "rowsps", "watt", "celsius",
    "dateTimeFromNow",
}  # fmt: skip
each_dashboard = pytest.mark.parametrize("dashboard", ALL, ids=lambda each: each.uid)


def exprs(dashboard: Dashboard) -> Iterator[tuple[str, str]]:
    """Where it stands, and the expression with variables filled in by something that parses."""
    values = {each["name"]: "1" for each in dashboard.variables} | {
        "verdict": "15s", "latency": "5m", "window": "5m", "long": "5m", "drift_window": "15m",
    }  # fmt: skip
    for query in dashboard.queries():
        yield query.where, asked(query, values | BUILT_IN)


def selectors(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Each vector selector, with the call that it stands in directly, if any."""
    if isinstance(tree, ast.VectorSelector):
        yield tree, None
    elif isinstance(tree, ast.Call):
        for argument in tree.args:
            for selector, call in selectors(argument):
                yield selector, call or tree.func.name
    elif isinstance(tree, ast.MatrixSelector):
        yield tree.vector_selector, None
    elif isinstance(tree, ast.SubqueryExpr | ast.AggregateExpr | ast.ParenExpr | ast.UnaryExpr):
        yield from ((selector, call or type(tree).__name__) for selector, call in selectors(tree.expr))
    elif isinstance(tree, ast.BinaryExpr):
        yield from selectors(tree.lhs)
        yield from selectors(tree.rhs)


def test_every_page_has_its_file_and_the_files_are_what_the_code_gives() -> None:
    assert {each.path.name: each.text for each in ALL} == files()
    assert len(ALL) == len(PAGES) == 7


def test_the_check_that_make_runs_agrees() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "grafana.src.build", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@each_dashboard
def test_the_sdk_reads_it_back_as_it_was_written(dashboard: Dashboard) -> None:
    assert json.loads(JSONEncoder().encode(Model.from_json(dashboard.body)), object_hook=shown) == dashboard.body


@each_dashboard
def test_template_datasource_rule(dashboard: Dashboard) -> None:
    first = dashboard.variables[0]
    assert (first["type"], first["name"], first["label"], first["query"]) == (
        "datasource", "datasource", "Data source", "prometheus",
    )  # fmt: skip


@each_dashboard
def test_template_label_promql_rule_and_template_on_time_change_reload_rule(dashboard: Dashboard) -> None:
    for variable in dashboard.variables[1:]:
        assert re.match(r"(label_values|label_names|metrics|query_result)\(", variable["query"]), variable["name"]
        assert variable["refresh"] == 2, variable["name"]
        assert variable["datasource"]["uid"] == "${datasource}"
        if variable["multi"]:
            assert (variable["allValue"], variable["includeAll"]) == (".+", True)


@each_dashboard
def test_panel_datasource_rule(dashboard: Dashboard) -> None:
    for panel in dashboard.panels:
        assert {panel["datasource"]["uid"], *(each["datasource"]["uid"] for each in panel["targets"])} == {
            "${datasource}"
        }, panel["title"]


@each_dashboard
def test_panel_title_description_rule_for_every_kind_and_it_says_what_good_looks_like(dashboard: Dashboard) -> None:
    for panel in dashboard.panels:
        assert panel["title"]
        assert re.search(r"Good: |Green: ", panel["description"]) or panel["title"] == "Before", panel["title"]
        assert panel["description"].endswith((".", "allowed")), panel["title"]


@each_dashboard
def test_panel_units_rule(dashboard: Dashboard) -> None:
    for panel in dashboard.panels:
        if panel["type"] in GRAPHS:
            assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]


@each_dashboard
def test_panel_no_targets_rule(dashboard: Dashboard) -> None:
    for panel in dashboard.panels:
        assert panel["targets"], panel["title"]
        assert all(target["expr"] for target in panel["targets"])


@each_dashboard
def test_target_promql_rule(dashboard: Dashboard) -> None:
    for _, expr in exprs(dashboard):
        ast.parse(expr)


@each_dashboard
def test_target_rate_interval_rule_where_a_window_means_nothing(dashboard: Dashboard) -> None:
    """A window that is part of what is shown (an hour's quantile, the range) stays; the others follow the scrapes."""
    for query in dashboard.queries():
        for window in re.findall(r"i?rate\([^[]*\[([^]]+)\]", query.expr):
            assert window in ("$__rate_interval", "1m"), query.where


@each_dashboard
def test_target_counter_agg_rule(dashboard: Dashboard) -> None:
    for where, expr in exprs(dashboard):
        for selector, call in selectors(ast.parse(expr)):
            name = selector.name or ""
            if name.endswith("_total") and name != "airbag_rollback_audit_records_total":
                assert call in ("rate", "irate", "increase"), (where, name)


@each_dashboard
def test_target_logql_rule_and_target_logql_auto_rule(dashboard: Dashboard) -> None:
    """Nothing asks Loki, so that both hold."""
    assert set(re.findall(r'"type": "(loki|prometheus)"', dashboard.text)) == {"prometheus"}


RULES = {
    "template-datasource-rule", "template-job-rule", "template-instance-rule", "template-label-promql-rule",
    "template-on-time-change-reload-rule", "panel-datasource-rule", "panel-title-description-rule",
    "panel-units-rule", "panel-no-targets-rule", "target-promql-rule", "target-rate-interval-rule", "target-job-rule",
    "target-instance-rule", "target-counter-agg-rule", "target-logql-rule", "target-logql-auto-rule",
    "uneditable-dashboard",
}  # fmt: skip


def test_every_rule_of_the_linter_is_checked_here_or_left_out_with_a_reason() -> None:
    excluded = yaml.safe_load((ROOT / "grafana" / "dashboards" / ".lint").read_text())["exclusions"]
    assert all(each["reason"] for each in excluded.values())
    here = " ".join(name.replace("_", "-") for name in globals() if name.startswith("test_"))
    checked = {rule for rule in RULES if rule in here}
    assert checked | set(excluded) == RULES
    assert "-job-rule" not in here


@each_dashboard
def test_uneditable_dashboard(dashboard: Dashboard) -> None:
    assert dashboard.body["editable"] is False


@each_dashboard
def test_uid_is_the_files_name_and_the_format_is_the_one_that_grafana_12_and_13_load(dashboard: Dashboard) -> None:
    assert dashboard.uid == dashboard.path.stem
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", dashboard.uid)
    assert dashboard.body["schemaVersion"] == 42
    assert "id" not in dashboard.body
    assert dashboard.body["tags"] == ["airbag"]
    assert not re.search(r"__inputs|\$\{DS_", dashboard.text)
    assert {each["type"] for each in dashboard.everything} <= SURVIVING


def test_uids_and_titles_are_unique_over_all() -> None:
    assert max(Counter(each.uid for each in ALL).values()) == 1
    assert max(Counter(each.body["title"] for each in ALL).values()) == 1


@each_dashboard
def test_panel_ids_are_unique_and_not_zero(dashboard: Dashboard) -> None:
    ids = Counter(each["id"] for each in dashboard.everything)
    assert max(ids.values()) == 1
    assert min(ids) > 0


@each_dashboard
def test_no_panel_overlaps_or_leaves_the_grid(dashboard: Dashboard) -> None:
    taken: Counter[tuple[int, int]] = Counter()
    for panel in dashboard.everything:
        at = panel["gridPos"]
        assert 0 <= at["x"] < at["x"] + at["w"] <= 24, panel["title"]
        taken.update(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))
    assert max(taken.values()) == 1
    assert {y for _, y in taken} == set(range(max(y for _, y in taken) + 1))  # no gap either


@each_dashboard
def test_no_legend_is_unreadable_at_1400_pixels(dashboard: Dashboard) -> None:
    """A grid column is 1400 / 24 px wide; a table legend needs 280 px for its names and two columns."""
    for panel in dashboard.panels:
        if panel["type"] == "timeseries":
            assert panel["options"]["legend"]["showLegend"]
            assert panel["gridPos"]["w"] * 1400 / 24 >= 280, panel["title"]
            assert all(len(re.sub(r"\{\{.*?\}\}", "", each["legendFormat"])) < 30 for each in panel["targets"])
        if panel["type"] == "stat":
            assert len(panel["title"]) * 8 <= panel["gridPos"]["w"] * 1400 / 24, panel["title"]


@each_dashboard
def test_every_link_leads_to_a_dashboard_that_is_shipped_and_to_variables_that_it_has(dashboard: Dashboard) -> None:
    there = {each.uid: {variable["name"] for variable in each.variables} for each in ALL}
    links = re.findall(r'"url": "([^"]+)"', dashboard.text)
    for url in links:
        found = re.fullmatch(r"/d/([\w-]+)\?(.+)", url)
        assert found, url
        assert found[1] in there
        assert "${__url_time_range}" in found[2]
        named = set(re.findall(r"var-(\w+)=", found[2]))
        assert "datasource" in named
        assert named <= there[found[1]], url


def test_one_can_drill_down_and_come_back_up() -> None:
    leads = {each.uid: set(re.findall(r"/d/([\w-]+)\?", each.text)) for each in ALL}
    assert {"airbag-model", "airbag-rollbacks", "airbag-servers", "airbag-self"} <= leads["airbag-fleet"]
    assert "airbag-quality" in leads["airbag-model"]
    for each in ALL:
        [siblings] = each.body["links"]
        assert (siblings["type"], siblings["tags"], siblings["includeVars"], siblings["keepTime"]) == (
            "dashboards", ["airbag"], True, True,
        )  # fmt: skip


def test_the_same_series_has_the_same_colour_everywhere() -> None:
    for each in ALL:
        for panel in each.panels:
            if panel["type"] == "timeseries":
                config = panel["fieldConfig"]
                assert config["defaults"]["color"]["mode"] == "palette-classic-by-name", panel["title"]
                overrides = {each["matcher"]["options"]: each["properties"] for each in config["overrides"]}
                assert {"id": "color", "value": {"mode": "fixed", "fixedColor": house.BAD}} in overrides["/^limit/"]


def test_no_number_that_exporters_yml_holds_stands_in_a_dashboard() -> None:
    """Colours change at 0, 1 or a share of the limit; the limits themselves come from Prometheus."""
    allowed = {None, 0, 0.25, 0.8, 1, 2, -3, 60, 600}
    for each in ALL:
        for panel in each.panels:
            steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
            assert {step["value"] for step in steps} <= allowed, panel["title"]
    limits = [query for each in ALL for query in each.queries() if query.legend.startswith("limit")]
    assert len(limits) > 20
    assert all("airbag_" in query.expr for query in limits)
