"""The dashboards' panels ask Prometheus and VictoriaMetrics: both have the same series and the same numbers."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from airbag.config import parse_duration
from airbag_demo.processes import Processes
from tests.fakes import promql, shipped
from tests.fakes.dashboards import BUILT_IN, Dashboard, Source, asked, dashboards
from tests.fakes.golden_pages import golden_pages
from tests.fakes.ports import free_port
from tests.fakes.victoria_metrics import victoria_metrics
from tests.fakes.wait import until
from tests.scale.test_examples import UNSENT
from tests.scale.test_long_term import files, prometheus

BEHIND = 5.0
"""Seconds after which everything that was scraped is in the store: a batch waits for one."""

RATE_WINDOW = 8
"""Seconds, of panels that leave it to Grafana."""

CHOSEN = {"model_name": "digits", "now": "2", "before": "1"}
QUALITY = {"model_name": "fraud", "model_version": "2", "feature": "score"}
"""What somebody chose in a dashboard: numbers of the golden pages grow, the version that serves, too."""

AGE = 3 * RATE_WINDOW
"""Seconds that the series are old. Of a longer window VictoriaMetrics takes what is there of it, Prometheus all."""


@dataclass(frozen=True)
class Both:
    """The two, and a time at which both have everything."""

    local: Source
    store: Source
    at: float


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("answers")
    with golden_pages() as targets, Processes(folder) as processes:
        store = victoria_metrics(folder, processes)
        store.start()
        address = f"127.0.0.1:{free_port()}"
        rules = {file.stem for file in shipped.RULES.glob("*.yml")}
        config = files(folder / "prometheus", store.address, targets | {"prometheus": address}, rules)
        for file in (config.parent / "rules").glob("*.yml"):  # a minute's group would keep the test waiting
            file.write_text(re.sub(r"(?m)^( +interval:) \S+$", r"\1 2s", file.read_text()))
        begun = time.time()
        processes.start(prometheus(config, "newest", address))
        processes.wait_ready()
        local, remote = Source(f"http://{address}"), Source(store.url)
        last = "model_version_feature:airbag_quality_psi:nats15m"
        until(lambda: local.query(last), timeout=120, what="the records of drift", every=0.5)
        until(lambda: time.time() > begun + AGE, timeout=60, what="a whole window of samples")
        at = math.floor(time.time())
        until(lambda: time.time() > at + BEHIND, timeout=60, what="the last batch")
        yield Both(local, remote, at)


def rows(source: Source, expr: str, at: float) -> dict[frozenset[tuple[str, str]], float]:
    """An answer without the label that every series got on its way."""
    return {
        frozenset((key, value) for key, value in each["metric"].items() if key != "site"): float(each["value"][1])
        for each in source.query(expr, at)
    }


def chosen(source: Source, dashboard: Dashboard) -> dict[str, str]:
    """Every variable of a dashboard."""
    picked = QUALITY if dashboard.uid == "airbag-quality" else CHOSEN
    values = {"__range": BUILT_IN["__range"], "__rate_interval": f"{RATE_WINDOW}s"}
    for variable in dashboard.variables:
        name = variable["name"]
        if variable.get("includeAll"):
            values[name] = variable["allValue"]
        elif variable["type"] != "datasource":
            values[name] = picked.get(name) or source.options(variable, values)[0]
    return values


@pytest.mark.parametrize("dashboard", dashboards(), ids=lambda each: each.uid)
def test_the_store_answers_a_dashboard_as_prometheus_does(both: Both, dashboard: Dashboard) -> None:
    values, answered = chosen(both.local, dashboard), 0
    for query in dashboard.queries():
        expr = asked(query, values)
        here, there = rows(both.local, expr, both.at), rows(both.store, expr, both.at)
        if any(each in UNSENT for each in promql.series(expr)):
            assert not there, f"{query.where} has an answer; it needs no excuse"
            continue
        assert there.keys() == here.keys(), (query.where, expr)
        if longest_window(expr) < AGE:
            assert all(alike(here[each], there[each]) for each in here), (query.where, expr, here, there)
        answered += bool(here)
    assert answered > len(list(dashboard.queries())) / 2, "most panels are empty here"


def longest_window(expr: str) -> float:
    """Seconds that the query looks back from each point."""
    return max((parse_duration(each) for each in re.findall(r"\[(\d+[smhd])\]", expr)), default=0.0)


def alike(one: float, other: float) -> bool:
    """Prometheus extrapolates to the ends of a window, VictoriaMetrics does not: one scrape more or less."""
    return math.isclose(one, other, rel_tol=1.5 / RATE_WINDOW, abs_tol=1e-9) or (math.isnan(one) and math.isnan(other))
