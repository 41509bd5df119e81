"""The dashboards over a stack that has lived through a release, a drill, a bad release and its rollback."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from airbag_demo.ports import free_ports
from airbag_demo.releases import MODEL, publish
from airbag_demo.stack import Stack, running
from airbag_demo.story import actions, fill_store, proven, release, traffic
from tests.fakes.dashboards import Dashboard, Source, asked, dashboards, is_excused
from tests.fakes.wait import until

ROOT = Path(__file__).parents[2]
LIVED = 75.0
"""Seconds of traffic after which even the windows that are evaluated once a minute have their records."""


@dataclass(frozen=True)
class Lived:
    """The stack that has seen it all."""

    stack: Stack
    prometheus: Source
    now: float


@pytest.fixture(scope="module")
def lived(releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    with ExitStack() as held:
        stack = Stack(ROOT, tmp_path_factory.mktemp("dashboards") / "run", held.enter_context(free_ports()))
        stack.prepare()
        fill_store(stack, releases)
        held.enter_context(running(stack))
        held.enter_context(traffic(stack, releases))
        begun = time.monotonic()
        until(lambda: time.monotonic() - begun > LIVED / 3 and proven(stack), timeout=90, what="proof of 2", every=0.5)
        publish(releases / "good" / "2", stack.store / MODEL, 3)
        release(stack, 3)
        prometheus = Source(stack.url("prometheus"))
        until(lambda: prometheus.query("airbag_tfs_default_version == 3"), timeout=60, what="version 3", every=0.5)
        drill = [sys.executable, "-m", "airbag", "drill", MODEL, "--receiver.url", stack.url("receiver")]
        done = subprocess.run(
            [*drill, "--token-file", str(stack.operator_token_file)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        until(lambda: time.monotonic() - begun > LIVED, timeout=120, what="enough of the past", every=1)
        publish(releases / "faults" / "latency", stack.store / MODEL, 4)  # seen by its answers, and labelled
        release(stack, 4)
        until(lambda: _rolled_back(stack), timeout=120, what="the rollback of version 4", every=0.5)
        mark = 'airbag_rollback_last_action_timestamp_seconds{outcome="succeeded"}'
        until(lambda: prometheus.query(mark), what="its mark", every=0.5)
        drift = 'model_version_feature:airbag_quality_psi:nats15m{model_version="3"}'  # the one that the panels show
        until(lambda: prometheus.query(drift), timeout=180, what="a look at drift, which comes once a minute", every=1)
        yield Lived(stack, prometheus, time.time())


def _rolled_back(stack: Stack) -> bool:
    return any(each["bad_version"] == 4 and each["state"] == "SUCCEEDED" for each in actions(stack))


def _links(dashboard: Dashboard) -> dict[str, set[str]]:
    """Labels that the links of each panel are made of, by its title."""
    found = {}
    for panel in dashboard.panels:
        urls = re.findall(r"'url': '([^']+)'", str(panel["fieldConfig"]))
        found[panel["title"]] = {
            label for url in urls for label in re.findall(r"\$\{__(?:field\.labels|data\.fields)\.(\w+)\}", url)
        }
    return found


@pytest.mark.story
@pytest.mark.timeout(400)
@pytest.mark.parametrize("dashboard", dashboards(), ids=lambda each: each.uid)
def test_every_query_has_data_with_the_labels_that_its_legend_and_its_links_name(
    lived: Lived, dashboard: Dashboard
) -> None:
    values = lived.prometheus.values(dashboard)
    links = _links(dashboard)
    wrong, empty = [], []
    for query in dashboard.queries():
        expr = asked(query, values)
        rows = lived.prometheus.query(expr) if query.instant else lived.prometheus.over_time(expr, lived.now)
        if not rows:
            empty.append(f"{query.where}: {expr}")
        needed = set(re.findall(r"\{\{(\w+)\}\}", query.legend)) | links.get(query.where.split(": ")[1], set())
        wrong += [
            f"{query.where} lacks {needed - set(row['metric'])}" for row in rows[:50] if needed - set(row["metric"])
        ]
    assert wrong == []
    assert [where for where in empty if not is_excused(where)] == []


@pytest.mark.story
@pytest.mark.timeout(400)
def test_one_change_in_exporters_yml_moves_the_alert_the_line_and_the_colour(lived: Lived) -> None:
    [fleet] = [each for each in dashboards() if each.uid == "airbag-fleet"]
    [model] = [each for each in dashboards() if each.uid == "airbag-model"]
    cells = {query.where: asked(query, lived.prometheus.values(fleet)) for query in fleet.queries()}
    lines = [query for query in model.queries() if "Accuracy of $now" in query.where and query.legend == "limit"]
    line, cell = asked(lines[0], lived.prometheus.values(model)), cells["airbag-fleet: Fleet: of limit: wrong"]

    def value(expr: str) -> float:
        [row] = lived.prometheus.query(expr)
        return float(row["value"][1])

    def firing() -> bool:
        return bool(lived.prometheus.query('ALERTS{alertname="AirbagAccuracyLow",alertstate="firing"}'))

    until(lambda: value(cell) < 1 and not firing(), timeout=60, what="a green cell", every=0.5)
    assert value(line) == 0.85
    exporters = lived.stack.file("exporters/exporters.yml")
    exporters.write_text(exporters.read_text().replace("accuracy_min: 0.85", "accuracy_min: 0.999"))
    requests.post(f"{lived.stack.url('quality-exporter')}/-/reload", timeout=10).raise_for_status()
    until(lambda: value(line) == 0.999, timeout=30, what="the line", every=0.5)
    until(lambda: value(cell) > 1, timeout=30, what="a red cell", every=0.5)
    until(firing, timeout=60, what="the alert", every=0.5)
