"""How long Prometheus takes for all quality rules: 20 models with 3 versions, 20 features and 20 bins, 2 replicas.

Prints one JSON object as its last line. A local server shows the pages of both replicas, with counters that grow all
the time; Prometheus scrapes them every 5 s, as large fleets do, and runs the shipped rules at their shipped intervals.
The target is what the same sums of rules took where this arithmetic was first tried on Prometheus (2 shared cores):
drift 5 s, Jensen-Shannon and canary PSI 5 s, references 3 s, and 1 s for each window of quality.
"""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import psutil
import requests
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench._report import Measured, report  # noqa: E402 - beside us
from tests.fakes import shipped  # noqa: E402
from tests.fakes.binaries import find  # noqa: E402
from tests.fakes.http_server import serving_http  # noqa: E402
from tests.fakes.ports import free_port  # noqa: E402

MODELS, VERSIONS, FEATURES, BINS, SCORE_BINS = 20, 3, 20, 20, 50
SCRAPE = "5s"
WARM_UP, MEASURED, EVERY = 150.0, 180.0, 5.0
REF = "0123456789ab"


@dataclass
class Page:
    """Lines of a page without their values, and how much each grows in a second."""

    lines: list[str] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def add(self, name: str, rate: float, **labels: str | int) -> None:
        """One series."""
        pairs = ",".join(f'{key}="{value}"' for key, value in labels.items())
        self.lines.append(f"airbag_quality_{name}{{{pairs}}} ")
        self.rates.append(rate)

    def cumulative(self, name: str, bins: int, rate: float, **labels: str | int) -> None:
        """A family of bins, each as full as any other."""
        for number, (before, each) in enumerate(itertools.pairwise(["", "start", *(f"{n:02d}" for n in range(bins))])):
            self.add(name, rate * number / bins, **labels, bin=each, prev=before)

    def text(self, seconds: float) -> bytes:
        """The page when its counters have grown for so long."""
        pairs = zip(self.lines, self.rates, strict=True)
        return "".join(f"{line}{rate * seconds:.0f}\n" for line, rate in pairs).encode()


def versions() -> Iterator[dict[str, str | int]]:
    """The labels of every version."""
    for model in range(MODELS):
        for version in range(1, VERSIONS + 1):
            yield {"serving": "main", "model_name": f"model-{model:02d}", "model_version": version}


def counters() -> Page:
    """What a replica shows of binary models, 50 rows a second each; every feature has its own pace."""
    page = Page()
    for of in versions():
        for number in range(FEATURES + 1):
            feature = "score" if number == FEATURES else f"feature_{number:02d}"
            page.cumulative("feature_le_total", BINS, 50.0 + number, **of, feature=feature, ref=REF)
            page.add("feature_missing_total", 1.0, **of, feature=feature)
            page.add("feature_out_of_range_total", 0.5, **of, feature=feature)
        for actual in (0, 1):
            page.cumulative("score_le_total", SCORE_BINS, 20.0 + 10 * actual, **of, ref=REF, actual=actual)
        page.cumulative("score_sum_le_total", SCORE_BINS, 25.0, **of, ref=REF)
        for name in ("0", "1", "other"):
            page.add("predictions_total", 20.0, **of, predicted=name)
            for kind in ("tp", "predicted", "actual"):
                page.add("class_total", 10.0, **of, **{"class": name}, kind=kind)
        page.add("labelled_total", 40.0, **of, correct="true")
        page.add("labelled_total", 10.0, **of, correct="false")
        for name in ("scored", "squared_error", "log_loss_nats", "prediction_entropy_nats", "prediction_entropy_rows"):
            page.add(f"{name}_total", 20.0, **of)
    return page


def gauges() -> bytes:
    """Roles, kinds and thresholds."""
    page = Page()
    roles = {1: "stable", 2: "candidate"}
    for of in versions():
        if role := roles.get(int(of["model_version"])):
            page.add("version_role", 1, **of, role=role)
    for model in range(MODELS):
        of = {"serving": "main", "model_name": f"model-{model:02d}"}
        page.add("model_info", 1, **of, kind="binary")
        page.add("labels_min", 50, **of)
        page.add("accuracy_min", 0, **of)
    return page.text(1)


def references() -> bytes:
    """The training data, in the same bins."""
    page = Page()
    for of in versions():
        for number in range(FEATURES + 1):
            feature = "score" if number == FEATURES else f"feature_{number:02d}"
            page.cumulative("reference_le", BINS, 100_000.0, **of, feature=feature, ref=REF)
    return page.text(1)


@contextmanager
def replica() -> Iterator[str]:
    """The address of a stand-in for an exporter."""
    page, same, reference, begun = counters(), gauges(), references(), time.monotonic()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = reference if self.path == "/reference" else same + page.text(time.monotonic() - begun)
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with serving_http(Handler) as port:
        yield f"127.0.0.1:{port}"


@contextmanager
def prometheus(folder: Path, targets: list[str]) -> Iterator[tuple[str, psutil.Process]]:
    """Its address and its process, while it scrapes the targets and runs the shipped rules."""
    jobs = [("airbag-quality", "/metrics", SCRAPE), ("airbag-quality-reference", "/reference", "15s")]
    (folder / "prometheus.yml").write_text(yaml.safe_dump({
        "global": {"evaluation_interval": "1s"},
        "rule_files": [str(shipped.RULES / "*.yml")],
        "scrape_configs": [
            {"job_name": name, "metrics_path": path, "scrape_interval": every, "scrape_timeout": every,
             "static_configs": [{"targets": targets}]}
            for name, path, every in jobs
        ],
    }))  # fmt: skip
    address = f"127.0.0.1:{free_port()}"
    command = [find("prometheus"), f"--config.file={folder / 'prometheus.yml'}", f"--web.listen-address={address}",
               f"--storage.tsdb.path={folder / 'data'}", "--log.level=warn"]  # fmt: skip
    process = subprocess.Popen(command)
    try:
        yield f"http://{address}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def evaluations(url: str) -> dict[str, float]:
    """How long each group with quality rules took last, in seconds."""
    groups = requests.get(f"{url}/api/v1/rules", timeout=30).json()["data"]["groups"]
    for group in groups:
        for rule in group["rules"]:
            if rule["health"] == "err":
                raise SystemExit(f"{rule['name']}: {rule['lastError']}")
    return {
        group["name"]: group["evaluationTime"]
        for group in groups
        if Path(group["file"]).stem in {"quality", "quality_windows", "drift"}
    }


def measured(url: str) -> list[dict[str, float]]:
    """A look every few seconds, once every group has run on counters that have grown for a while."""
    time.sleep(WARM_UP)
    looks = []
    for _ in range(int(MEASURED / EVERY)):
        time.sleep(EVERY)
        looks.append(evaluations(url))
    return looks


def main() -> None:
    """Measure and print."""
    with (
        tempfile.TemporaryDirectory() as folder,
        replica() as one,
        replica() as two,
        prometheus(Path(folder), [one, two]) as (url, process),
    ):
        looks = measured(url)
        cpu = sum(process.cpu_times()[:2]) / (time.time() - process.create_time())
        rss = process.memory_info().rss / 2**20
    for name in looks[0]:
        print(f"{name}: {statistics.median(look[name] for look in looks):.3f} s")
    evaluation = statistics.median(sum(look.values()) for look in looks)
    report(
        "quality_rules",
        {
            "evaluation_seconds": Measured(evaluation, "s", 15.0),
            "prometheus_cores": Measured(cpu, "cores"),
            "prometheus_rss_mib": Measured(rss, "MiB"),
        },
    )


if __name__ == "__main__":
    main()
