"""Sources in front of the real book and its SQLite ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from airbag.clock import SystemClock
from airbag_exporters.config import ExportersConfig, load_exporters
from airbag_exporters.quality.book import Book
from airbag_exporters.quality.intake.metrics import IntakeMetrics
from airbag_exporters.quality.ledger.open import open_ledger
from airbag_exporters.quality.sources import OnThread, Sources
from airbag_exporters.quality.taking import BookTaker
from tests.fakes.redis_server import redis_server
from tests.fakes.wait import until

CONFIG = """
servings:
  - name: main
    targets: [{{name: a, grpc: "127.0.0.1:1"}}]
    models: [{{name: digits, classes: ["0", "1"]}}]
pipelines: [{{name: features}}]
quality:
  state_folder: state
  replica: one
  files:
    - {{path: predictions.ndjson, kind: predictions}}
    - {{path: "labels-*.ndjson", kind: labels}}
  streams: {{url: "{url}"}}
"""


@contextmanager
def exporter(config: ExportersConfig) -> Iterator[CollectorRegistry]:
    registry, clock = CollectorRegistry(), SystemClock()
    with ThreadPoolExecutor(1) as counting:
        ledger = counting.submit(open_ledger, config.quality, clock).result()
        book = counting.submit(Book, config, ledger, clock.now).result()
        taker = OnThread(BookTaker(book, clock.now, registry), counting)
        with Sources(config.quality, taker, registry, IntakeMetrics(registry), clock):
            yield registry
        counting.submit(ledger.close).result()


def ndjson(*events: dict[str, object]) -> str:
    return "".join(json.dumps(event) + "\n" for event in events)


def prediction(number: int) -> dict[str, object]:
    return {"model_name": "digits", "model_version": 3, "predicted": number % 2}


def rows(registry: CollectorRegistry, source: str, kind: str, count: float) -> None:
    labels = {"source": source, "kind": kind}
    until(lambda: registry.get_sample_value("airbag_quality_events_total", labels) == count, timeout=60, what=kind)


def test_lines_without_id_are_counted_once_over_restarts_and_bad_ones_set_aside(tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis") as server, server.client() as client:
        (tmp_path / "exporters.yml").write_text(CONFIG.format(url=server.url))
        config = load_exporters(tmp_path / "exporters.yml")
        predictions, labels = tmp_path / "predictions.ndjson", tmp_path / "labels-1.ndjson"
        predictions.write_text(ndjson(*map(prediction, range(100))) + "{\n" + ndjson(prediction(1) | {"id": "a"}))
        run = {"pipeline": "features", "run_id": "1", "status": "success", "started_at": 1, "finished_at": 3}
        client.xadd("airbag:events", {"kind": "predictions", "data": ndjson(*map(prediction, range(7)))})
        client.xadd("airbag:events", {"kind": "pipeline-runs", "data": ndjson(run)})
        with exporter(config) as registry:
            rows(registry, "file", "predictions", 101)
            rows(registry, "stream", "predictions", 7)
            rows(registry, "stream", "pipeline-runs", 1)
            labels.write_text("nonsense\n" + ndjson({"id": "a", "actual": "1"}))
            rows(registry, "file", "labels", 1)
        predictions.write_text(predictions.read_text() + ndjson(prediction(1)))
        with exporter(config) as registry:
            rows(registry, "file", "predictions", 1)
            rows(registry, "file", "labels", 0)
            rows(registry, "stream", "predictions", 0)
            assert client.xpending("airbag:events", "airbag")["pending"] == 0
    kept = [path.read_text() for path in sorted((tmp_path / "state" / "rejected").iterdir())]
    assert [json.loads(text)["line"] for text in kept] == ["nonsense", "{"]
