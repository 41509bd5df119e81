"""What it costs to scrape the serving exporter for 100 models with 3 versions each, and to poll their server.

Prints one JSON object as its last line. The server is a stand-in that speaks the real protocol; every model has new
traffic at every poll. The peer is what prometheus_client takes to render the same page from its own objects.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import requests
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from airbag_exporters.serving.native import Counter, Requests  # noqa: E402
from bench._report import Measured, report  # noqa: E402 - beside us, like the tests' servers
from tests.exporters.native_page import histogram, page_server, write  # noqa: E402
from tests.exporters.processes import Exporter, running  # noqa: E402
from tests.fakes.tfs_wire import Status, serving  # noqa: E402

MODELS, VERSIONS = 100, 3
SCRAPES = 100
POLLS = 20.0
PROMETHEUS = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "gzip"}


def native(times: int) -> bytes:
    """The page after `times` rounds of the same traffic."""
    counters: dict[Counter, int] = {}
    for number in range(MODELS):
        name = f"model-{number}"
        counters[Requests(name, "OK")] = 50 * times
        counters[Requests(name, "INTERNAL")] = times
        for api, entrypoint in (("Predict", "GRPC"), ("predict", "REST")):
            buckets = histogram(name, api, entrypoint, [900.0, 2500.0, 2600.0, 9000.0, 40_000.0])
            counters.update({bucket: count * times for bucket, count in buckets.items()})
    return write(counters)


@contextlib.contextmanager
def loaded() -> Iterator[Exporter]:
    """An exporter that watches a busy server."""
    with serving() as server, page_server() as page, tempfile.TemporaryDirectory() as folder:
        for number in range(MODELS):
            server.models[f"model-{number}"] = dict.fromkeys(range(1, VERSIONS + 1), Status.AVAILABLE)
        page.page = native(1)
        ended = threading.Event()

        def traffic() -> None:
            times = 1
            while not ended.wait(0.5):
                times += 1
                page.page = native(times)
                server.requests.clear()

        thread = threading.Thread(target=traffic)
        thread.start()
        config = Path(folder, "exporters.yml")
        names = ", ".join(f"{{name: {name}}}" for name in server.models)
        config.write_text(
            f"servings:\n  - name: main\n    models: [{names}]\n"
            f'    targets: [{{name: a, grpc: "{server.address}", rest: "{page.address}"}}]\n'
        )
        try:
            with running("serving", config) as exporter:
                while not exporter.get("/-/ready").ok:
                    time.sleep(0.1)
                yield exporter
        finally:
            ended.set()
            thread.join()


def scrapes(exporter: Exporter) -> tuple[list[float], requests.Response]:
    """Milliseconds of each scrape, spread over the phases of the poll; and the last answer."""
    took = []
    with requests.Session() as session:
        for _ in range(SCRAPES):
            begun = time.perf_counter()
            with session.get(f"{exporter.url}/metrics", headers=PROMETHEUS, stream=True, timeout=10) as answer:
                answer.raw.read()
            took.append((time.perf_counter() - begun) * 1000)
            time.sleep(0.107)
        return took, session.get(f"{exporter.url}/metrics", timeout=10)


def rendered_by_the_peer(page: str) -> float:
    """Milliseconds that prometheus_client takes for the same families."""
    families = list(text_string_to_metric_families(page))

    class Ready:
        def collect(self) -> list[object]:
            return families

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Ready())
    runs = []
    for _ in range(5):
        begun = time.perf_counter()
        generate_latest(registry)
        runs.append((time.perf_counter() - begun) * 1000)
    return statistics.median(runs)


def main() -> None:
    """Measure and print."""
    with loaded() as exporter:
        process = psutil.Process(exporter.process.pid)
        time.sleep(3)
        before = sum(process.cpu_times()[:2])
        time.sleep(POLLS)
        cpu = (sum(process.cpu_times()[:2]) - before) / POLLS
        poll = exporter.value("airbag_tfs_scrape_duration_seconds") or 0.0
        took, page = scrapes(exporter)
        rss = process.memory_info().rss / 2**20
    took.sort()
    lines = sum(1 for line in page.iter_lines() if not line.startswith(b"#"))
    peer = rendered_by_the_peer(page.text)
    report(
        "serving_scrape",
        {
            "scrape_p50_ms": Measured(
                statistics.median(took), "ms", 50.0, peer="prometheus_client's rendering alone", peer_value=peer
            ),
            "scrape_p99_ms": Measured(took[int(len(took) * 0.99) - 1], "ms"),
            "scrape_bytes": Measured(len(page.content), "bytes"),
            "samples": Measured(lines, "lines"),
            "cpu_seconds_per_poll": Measured(cpu, "s"),
            "poll_seconds": Measured(poll, "s"),
            "rss_mib": Measured(rss, "MiB"),
        },
    )


if __name__ == "__main__":
    main()
