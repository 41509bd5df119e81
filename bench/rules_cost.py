"""How long Prometheus takes for all shipped rules at 100 models with 3 versions each, at the fast profile.

Prints every group, the slowest rules, and one JSON object as its last line. It is measured when the windows of five
minutes are full; longer ones grow with the time that Prometheus runs, which their intervals leave room for.

What the targets mean: no group takes more than half of its interval, so that a busy machine does not make it late; the
two groups that a rollback waits for together no more than half of their second, which is part of the way from a fault
to the webhook; all groups one after the other ten seconds, a sixth of the minute that the slowest have; and on average
they keep less than one core busy.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests
from prometheus_client.parser import text_string_to_metric_families

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench._fleet import fleet, page_of
from bench._report import Measured, report
from bench._stack import Running, say

WARM_UP, MEASURED, EVERY = 300.0, 120.0, 5.0
VERDICTS = {"airbag-serving", "airbag-quality"}


@dataclass(frozen=True)
class Look:
    """How long each group took last, and how much it may take, in seconds; how often one came too late so far."""

    took: Mapping[str, float]
    intervals: Mapping[str, float]
    missed: float


def look(here: Running) -> Look:
    """What Prometheus says of itself."""
    text = page_of(here, "prometheus")
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith("prometheus_rule_group_") and "rule_group" in sample.labels:
                group = sample.labels["rule_group"].rpartition(";")[2]
                found.setdefault(sample.name.removeprefix("prometheus_rule_group_"), {})[group] = sample.value
    missed = found.get("iterations_missed_total", {})
    return Look(found["last_duration_seconds"], found["interval_seconds"], sum(missed.values()))


def slowest(here: Running, count: int) -> list[tuple[float, str]]:
    """The rules that took longest. SystemExit when one fails: that would be cheap and wrong."""
    found = []
    groups = requests.get(f"{here.stack.url('prometheus')}/api/v1/rules", timeout=30).json()["data"]["groups"]
    for group in groups:
        for rule in group["rules"]:
            if rule["health"] == "err":
                raise SystemExit(f"{rule['name']}: {rule['lastError']}")
            found.append((float(rule["evaluationTime"]), f"{group['name']}: {rule['name']}"))
    return sorted(found, reverse=True)[:count]


def print_groups(looks: Sequence[Look]) -> tuple[dict[str, float], float]:
    """Every group; its median time, and the largest share of an interval that a group took in the median."""
    took = {name: statistics.median(each.took[name] for each in looks) for name in looks[-1].took}
    shares = {name: took[name] / looks[-1].intervals[name] for name in took}
    for name in sorted(took, key=lambda name: -shares[name]):
        longest = max(each.took[name] for each in looks)
        print(f"{name:28} {took[name]:7.3f} s, at most {longest:.3f} s, every {looks[-1].intervals[name]:g} s")
    return took, max(shares.values())


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--warm-up", type=float, default=WARM_UP, help="seconds before the first look")
    warm_up = options.parse_args().warm_up
    with fleet() as found:
        metrics = measured(found.here, warm_up)
    report("rules_cost", metrics | {"series_scraped": Measured(found.series, "series")})


def measured(here: Running, warm_up: float) -> dict[str, Measured]:
    """Let Prometheus run, and look every few seconds when its windows are full."""
    say(f"Prometheus runs; measuring in {warm_up:g} s")
    time.sleep(warm_up)
    process = psutil.Process(here.processes.pid("prometheus"))
    missed, cpu, begun = look(here).missed, sum(process.cpu_times()[:2]), time.monotonic()
    looks = []
    while time.monotonic() < begun + MEASURED:
        time.sleep(EVERY)
        looks.append(look(here))
    cores = (sum(process.cpu_times()[:2]) - cpu) / (time.monotonic() - begun)
    took, busiest = print_groups(looks)
    for seconds, rule in slowest(here, 8):
        print(f"  slow: {rule} {seconds:.3f} s")
    return {
        "evaluation_seconds": Measured(sum(took.values()), "s", 10.0),
        "verdict_seconds": Measured(sum(took[name] for name in VERDICTS), "s", 0.5),
        "rules_cores": Measured(sum(took[name] / looks[-1].intervals[name] for name in took), "cores", 1.0),
        "busiest_group_ratio": Measured(busiest, "of its interval", 0.5),
        "evaluations_missed": Measured(looks[-1].missed - missed, "evaluations", 0.0),
        "prometheus_cores": Measured(cores, "cores"),
        "prometheus_rss_mib": Measured(process.memory_info().rss / 2**20, "MiB"),
    }


if __name__ == "__main__":
    main()
