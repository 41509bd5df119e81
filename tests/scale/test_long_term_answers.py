"""The dashboards' panels ask Prometheus and VictoriaMetrics: both have the same series and the same numbers."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from airbag_demo.processes import Processes
from tests.fakes import shipped
from tests.fakes.dashboards import BUILT_IN, Dashboard, Query, Source, asked, dashboards
from tests.fakes.golden_pages import golden_pages
from tests.fakes.ports import free_port
from tests.fakes.victoria_metrics import victoria_metrics
from tests.fakes.wait import until
from tests.scale.test_long_term import files, prometheus

BEHIND = 12.0
"""Seconds after which everything that was scraped is in the store: a batch waits for five."""

OTHER = {
}
"""What the store answers differently, and why."""


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
        processes.start(prometheus(config, "newest", address))
        processes.wait_ready()
        local, remote = Source(f"http://{address}"), Source(store.url)
        last = "model_version_feature:airbag_quality_psi:nats15m"
        until(lambda: local.query(last), timeout=120, what="the records of drift", every=0.5)
        at = math.floor(time.time())
        until(lambda: time.time() > at + BEHIND, timeout=60, what="the last batch")
        yield Both(local, remote, at)


def rows(source: Source, expr: str, at: float) -> dict[frozenset[tuple[str, str]], float]:
    """An answer without the label that every series got on its way."""
    return {
        frozenset((key, value) for key, value in each["metric"].items() if key != "site"): float(each["value"][1])
        for each in source.query(expr, at)
    }


def test_explore(both: Both) -> None:
    n=0; bad=0
    for dashboard in dashboards():
        values = both.local.values(dashboard) | {"__rate_interval": "60s"}
        for query in dashboard.queries():
            expr = asked(query, values)
            try:
                one, other = rows(both.local, expr, both.at), rows(both.store, expr, both.at)
            except Exception as e:
                print("ERR", query.where, expr, e); continue
            n+=1
            if one.keys()!=other.keys():
                bad+=1
                print("KEYS", query.where, "\n   ", expr, "\n   ", len(one), len(other), [dict(k) for k in list(one.keys()-other.keys())[:2]], [dict(k) for k in list(other.keys()-one.keys())[:2]])
            else:
                diff=[(one[k],other[k]) for k in one if not math.isclose(one[k],other[k],rel_tol=0.02,abs_tol=1e-9) and not (math.isnan(one[k]) and math.isnan(other[k]))]
                if diff: print("VAL", query.where, "\n   ", expr, len(one), diff[:3])
    print(n, bad)
