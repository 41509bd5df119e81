"""What the aggregator says about its replicas, as the rules that watch it ask for it."""

from __future__ import annotations

from pathlib import Path

from tests.exporters.processes import assert_golden, running, shape
from tests.exporters.quality.test_aggregate_process import configured, counting
from tests.fakes.wait import until

PREFIX = "airbag_quality_aggregate_"


def test_what_is_told_of_the_replicas_is_what_it_was(tmp_path: Path) -> None:
    with (
        counting(tmp_path, "one") as one,
        running("quality", configured(tmp_path, one), "--aggregate") as both,
    ):
        until(lambda: both.value(f"{PREFIX}age_seconds") is not None, timeout=30, what="the first counters")
        page = shape(both.get("/metrics").text).replace(one.url, "http://quality-a:9811")
    told = [line for line in page.splitlines() if line.startswith((PREFIX, f"# HELP {PREFIX}", f"# TYPE {PREFIX}"))]
    assert_golden("quality_aggregate.prom", "\n".join(told) + "\n")
