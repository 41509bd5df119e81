"""How long Prometheus takes for every query of every dashboard at 100 models with 3 versions each.

Each is asked as its panel asks it, with the variables as they stand when one opens the dashboard: tables and numbers
of this moment, the graphs with a point for each second of the last five minutes. Of five answers the one in the middle
counts, as Prometheus itself times them. Prints the ten slowest, each panel that stays empty without a known
reason, and one JSON object as its last line.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench._fleet import fleet
from bench._report import Measured, report
from bench._stack import say
from tests.fakes.dashboards import Source, asked, dashboards, is_excused

NOT_IN_A_FLEET = {
    r"airbag-(fleet|rollbacks): (Last drill|Stages of the last drill)": "no drill was made",
    r"airbag-rollbacks: (Alert to recovery|Decisions|Last action|Outcomes)": "nothing was rolled back",
    r"airbag-model: Golden requests": "there are none",
    r"airbag-(model: On disk|servers: Models on disk)": "there is no model store",
    r"airbag-servers: (CPU|Descriptors|Memory|Restarts|Threads)": "the server is none of our processes",
    r"airbag-pipelines: ": "no pipeline ran",
    r"airbag-quality: (Accuracy, |Macro F1, )": "too few labels of the version before",
}
"""What the pages of the fleet lack, and why; `tests/stories/test_dashboards.py` sees that a living stack has it."""
WARM_UP, TIMES = 330.0, 5


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--warm-up", type=float, default=WARM_UP, help="seconds before the first question")
    warm_up = options.parse_args().warm_up
    with fleet() as found:
        say(f"Prometheus runs; asking in {warm_up:g} s")
        time.sleep(warm_up)
        source = Source(found.here.stack.url("prometheus"))
        took, empty = measured(source)
    for seconds, where in sorted(((seconds, where) for where, seconds in took.items()), reverse=True)[:10]:
        print(f"  slow: {where} {seconds * 1000:.0f} ms")
    for where in empty:
        print(f"  empty: {where}")
    report("dashboard_queries", {
        "slowest_ms": Measured(max(took.values()) * 1000, "ms", 200.0),
        "median_ms": Measured(statistics.median(took.values()) * 1000, "ms"),
        "queries": Measured(len(took), "queries"),
        "empty_panels": Measured(len(empty), "panels", 0.0),
    })  # fmt: skip


def measured(source: Source) -> tuple[dict[str, float], list[str]]:
    """Seconds of each query by where it stands, and the panels of which no query has an answer."""
    took: dict[str, float] = {}
    filled_panels: dict[str, bool] = {}
    for dashboard in dashboards():
        say(dashboard.uid)
        values = source.values(dashboard)
        for query in dashboard.queries():
            expr, now = asked(query, values), time.time()
            rows = source.query(expr) if query.instant else source.over_time(expr, now)
            panel = query.where.rpartition(": ")[0]
            filled_panels[panel] = filled_panels.get(panel, False) or bool(rows)
            times = [source.seconds(expr, None if query.instant else now, query.step) for _ in range(TIMES)]
            took[query.where] = statistics.median(times)
    return took, sorted(
        panel for panel, has in filled_panels.items() if not has and not is_excused(panel, *NOT_IN_A_FLEET)
    )


if __name__ == "__main__":
    main()
