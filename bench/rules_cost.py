"""How long Prometheus takes for all shipped rules at 100 models with 3 versions each, at the fast profile.

Prints every group, the slowest rules, and one JSON object as its last line. First the real exporters and the receiver
run for a moment, every version gets traffic, labels and five features, and their pages are kept. Then a server of ours
shows these pages on the same ports, with counters that grow by what they were every half minute, and a real Prometheus
with the shipped configuration scrapes them and evaluates the shipped rules. It is measured when the windows of five
minutes are full; longer ones grow with the time that Prometheus runs, which their intervals leave room for.

What the targets mean: no group takes more than half of its interval, so that a busy machine does not make it late; the
two groups that a rollback waits for together no more than half of their second, which is part of the way from a fault
to the webhook; all groups one after the other ten seconds, a sixth of the minute that the slowest have; and on average
they keep less than one core busy.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import requests
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench._pages import Pages  # noqa: E402 - beside us
from bench._report import Measured, report  # noqa: E402 - beside us
from bench._server import Model, busy  # noqa: E402
from bench._stack import Running, running, say  # noqa: E402
from tests.fakes.tfs_wire import Status  # noqa: E402
from tests.fakes.wait import until  # noqa: E402

MODELS, VERSIONS, FEATURES, BINS, ROWS = 100, 3, 5, 10, 60
PAGES = {
    ("serving-exporter", "/metrics"), ("quality-exporter", "/metrics"), ("quality-exporter", "/reference"),
    ("host-exporter", "/metrics"), ("receiver", "/metrics"),
}  # fmt: skip
WARM_UP, MEASURED, EVERY = 300.0, 120.0, 5.0
VERDICTS = {"airbag-serving", "airbag-quality"}
GROWS_IN = 30.0
_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?P<labels>\{.*\})? (?P<value>\S+)")
_TYPE = re.compile(r"# TYPE (\S+) (\S+)")


class Page:
    """A page as it was taken, and as it will be: its counters grow, and moments stay as far back as they were."""

    def __init__(self, text: str) -> None:
        self._taken = time.time()
        self._lines: list[str] = []
        self._values: list[tuple[int, float, bool]] = []
        kinds = dict(_TYPE.findall(text))
        for line in text.splitlines():
            found = _SAMPLE.fullmatch(line)
            self._lines.append(line + "\n")
            if not found:
                continue
            name = found["name"]
            families = {name, re.sub(r"_(total|bucket|count|sum)$", "", name)}
            counts = any(kinds.get(family) in ("counter", "histogram") for family in families)
            moment = name.endswith("_timestamp_seconds")
            if counts or moment:
                self._lines[-1] = line[: found.start("value")]
                self._values.append((len(self._lines) - 1, float(found["value"]), counts))

    @property
    def samples(self) -> int:
        """How many series it has."""
        return sum(not line.startswith("#") for line in self._lines)

    def now(self) -> bytes:
        """As it is by now."""
        lines, past = list(self._lines), time.time() - self._taken
        times = 1 + past / GROWS_IN
        for at, value, counts in self._values:
            lines[at] = f"{lines[at]}{int(value * times) if counts else value + past}\n"
        return "".join(lines).encode()


def entries(folder: Path) -> list[dict[str, Any]]:
    """For exporters.yml: binary models, all with the same reference."""
    chance = np.random.default_rng(1)

    def profile() -> dict[str, Any]:
        values = np.sort(chance.normal(size=10_000))
        edges = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1])
        le = [*np.searchsorted(values, edges, side="right").tolist(), len(values)]
        return {"kind": "numeric", "edges": edges.tolist(), "le": le, "minimum": values[0], "maximum": values[-1]}

    features = {f"f{number}": profile() for number in range(FEATURES)}
    document = {"format": 1, "rows": 10_000, "features": features, "score": profile(),
                "score_edges": (np.arange(1, 50) / 50).tolist()}  # fmt: skip
    reference = folder / "reference.json"
    reference.write_text(json.dumps(document))
    return [
        {"name": f"model-{number}", "classes": ["no", "yes"], "expect": {"accuracy_min": 0.5},
         "quality": {"kind": "binary", "reference": str(reference), "versions_max": VERSIONS}}
        for number in range(MODELS)
    ]  # fmt: skip


def live(here: Running) -> None:
    """Let every version serve, and report what it answered."""
    for version in range(1, VERSIONS + 1):
        for name in here.server.models:
            here.server.show(name, dict.fromkeys(range(1, version + 1), Status.AVAILABLE))
        for name in here.server.models:
            answered(here.stack.url("quality-exporter"), name, version)
        until(lambda: has_served(here, version), timeout=60, every=0.5, what=f"requests to version {version} of all")  # noqa: B023 - asked at once


def has_served(here: Running, version: int) -> bool:
    """Whether every model has answered with that version."""
    wanted = ("airbag_tfs_requests_total{", f'model_version="{version}"', 'status="OK"')
    lines = [line for line in page_of(here, "serving-exporter").splitlines() if all(each in line for each in wanted)]
    return sum(float(line.rpartition(" ")[2]) > 0 for line in lines) == MODELS


def answered(url: str, model: str, version: int) -> None:
    """Rows with their labels, of which one in ten is wrong."""
    chance = np.random.default_rng(version)
    rows = [
        {"id": f"{model}-{version}-{number}", "model_name": model, "model_version": version,
         "predicted": "yes" if positive else "no", "score": score,
         "features": {f"f{feature}": value for feature, value in enumerate(chance.normal(size=FEATURES).tolist())},
         "timestamp": time.time(), "actual": "yes" if positive is not (number % 10 == 0) else "no"}
        for number, score in enumerate(chance.random(ROWS).tolist())
        for positive in [score >= 0.5]
    ]  # fmt: skip
    body = "".join(json.dumps(row) + "\n" for row in rows)
    headers = {"Content-Type": "application/x-ndjson"}
    requests.post(f"{url}/v1/predictions", data=body, headers=headers, timeout=30).raise_for_status()


def page_of(here: Running, name: str, path: str = "/metrics") -> str:
    """What one of our processes shows."""
    answer = requests.get(here.stack.url(name) + path, timeout=30)
    answer.raise_for_status()
    return answer.text


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
    models = [Model(f"model-{number}", lambda _: 20.0, 0.01, 0.01) for number in range(MODELS)]
    with (
        tempfile.TemporaryDirectory(prefix="airbag-bench-") as folder,
        busy(models) as server,
        running(server, entries(Path(folder)), {name for name, _ in PAGES}) as here,
    ):
        live(here)
        pages = {(name, path): Page(page_of(here, name, path)) for name, path in sorted(PAGES)}
        here.processes.stop()
        server.stop()
        with ExitStack() as ends:
            for name in {name for name, _ in pages}:
                ends.callback(Pages(here.stack.ports[name], partial(body, pages, name)).close)
            metrics = measured(here, warm_up)
    samples = sum(page.samples for page in pages.values())
    report("rules_cost", metrics | {"series_scraped": Measured(samples, "series")})


def body(pages: Mapping[tuple[str, str], Page], name: str, path: str) -> bytes | None:
    """The page of one of our processes, as it is by now."""
    page = pages.get((name, path))
    return page.now() if page else None


def measured(here: Running, warm_up: float) -> dict[str, Measured]:
    """Let Prometheus run on the pages, and look every few seconds when its windows are full."""
    for program in here.stack.programs():
        if program.name in ("alertmanager", "prometheus"):
            here.processes.start(program)
    here.processes.wait_ready()
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
