"""How much the quality exporter takes over HTTP on one core, and what it weighs then.

Prints one JSON object as its last line. A binary model with 20 features in 10 bins; every event has an id, which is
joined and kept on disk before the answer. The exporter is bound to one core and the senders to the other.

Beside it, in the same run and on the same core: the bare loop, which decodes and counts the same bodies in memory,
without HTTP, without a join, without a disk; and whylogs and Evidently, computing the drift of the same rows.
"""

from __future__ import annotations

import gc
import http.client
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import pyarrow as pa
import requests
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from airbag.config import load  # noqa: E402
from airbag.serving.quality import ModelQuality  # noqa: E402
from airbag_exporters.config import ExportersConfig  # noqa: E402
from airbag_exporters.quality.columns import Owner, Predictions  # noqa: E402
from airbag_exporters.quality.counting import Block, Layout, count_predictions, families  # noqa: E402
from airbag_exporters.quality.decode import decode_predictions  # noqa: E402
from airbag_exporters.quality.models import Models, Spec  # noqa: E402
from airbag_exporters.quality.reference.compare import psi  # noqa: E402
from airbag_exporters.quality.reference.value import Reference  # noqa: E402
from bench._report import Measured, report  # noqa: E402 - beside us, like the tests' processes
from bench.quality_peers import drift_by_peers  # noqa: E402
from tests.exporters.processes import Exporter, running  # noqa: E402

FEATURES = [f"f{number:02}" for number in range(20)]
BINS, MODELS, VERSIONS = 10, 20, 3
SERVER, CLIENT = 0, 1  # cores
SENDERS = 2
SECONDS = 6.0


@dataclass(frozen=True)
class Format:
    """How rows travel: rows a batch, and the target of the design in rows per second."""

    name: str
    content_type: str
    rows: int
    target: float
    write: Callable[[int, int], bytes]


def columns(start: int, rows: int) -> dict[str, Any]:
    """The same law for every batch, with ids that never repeat."""
    rng = np.random.default_rng(start)
    return {
        "id": [f"{number:08x}-5f1c-4c1a-9d5e-{number:012x}" for number in range(start, start + rows)],
        "score": np.round(rng.random(rows), 6),
        "features": {name: np.round(rng.normal(size=rows), 6) for name in FEATURES},
    }


def ndjson(start: int, rows: int) -> bytes:
    """Features by name, the way that people write them."""
    made = columns(start, rows)
    rows = zip(*(column.tolist() for column in made["features"].values()), strict=True)
    lines = [
        msgspec.json.encode(
            {"id": key, "model_name": "m00", "model_version": "1", "score": score,
             "features": dict(zip(FEATURES, row, strict=True))}
        )
        for key, score, row in zip(made["id"], made["score"].tolist(), rows, strict=True)
    ]  # fmt: skip
    return b"\n".join(lines)


def columnar(start: int, rows: int) -> bytes:
    """One object of lists."""
    made = columns(start, rows)
    features = {name: column.tolist() for name, column in made["features"].items()}
    return msgspec.json.encode(
        {
            "model_name": "m00",
            "model_version": "1",
            "id": made["id"],
            "score": made["score"].tolist(),
            "features": features,
        }
    )


def arrow(start: int, rows: int) -> bytes:
    """An Arrow IPC stream."""
    made = columns(start, rows)
    flat = {f"features.{name}": column for name, column in made["features"].items()}
    table = pa.table({"id": made["id"], "score": made["score"], **flat})
    table = table.replace_schema_metadata({"model_name": "m00", "model_version": "1"})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


FORMATS = (
    Format("ndjson", "application/x-ndjson", 8_000, 120_000, ndjson),
    Format("columnar", "application/json", 16_000, 250_000, columnar),
    Format("arrow", "application/vnd.apache.arrow.stream", 48_000, 1_000_000, arrow),
)


def reference(folder: Path) -> None:
    """Deciles of the law that the rows have."""
    rows = 100_000
    rng = np.random.default_rng(0)
    features = {name: rng.normal(size=rows) for name in FEATURES}
    score = rng.random(rows)

    document = {
        "format": 1, "rows": rows, "features": {name: profile(column) for name, column in features.items()},
        "score": profile(score), "score_edges": np.quantile(score, np.linspace(0, 1, 51)[1:-1]).tolist(),
    }  # fmt: skip
    (folder / "airbag_reference.json").write_text(json.dumps(document))


def profile(column: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Of one feature, as the reference's file has it."""
    edges = np.quantile(column, np.linspace(0, 1, BINS + 1)[1:-1])
    le = [int(np.count_nonzero(column <= edge)) for edge in [*edges, np.inf]]
    return {"kind": "numeric", "edges": edges.tolist(), "le": le,
            "minimum": float(column.min()), "maximum": float(column.max())}  # fmt: skip


def drift_here(known: np.ndarray[Any, Any], live: np.ndarray[Any, Any]) -> tuple[float, list[float]]:
    """Rows per second of counting `live` (n, 20) and computing the PSI of every feature; and these."""
    profiles = {name: profile(known[:, at]) for at, name in enumerate(FEATURES)}
    document = {"format": 1, "rows": len(known), "features": profiles}
    owner = Owner("main", "m", "1")
    spec = Spec(
        "main", "m", ("0", "1"), ModelQuality(kind="binary"), Reference.model_validate_json(json.dumps(document))
    )
    block = Block(Layout.of(spec, owner))
    os.sched_setaffinity(0, {SERVER})
    begun = time.perf_counter()
    columns = {name: np.ascontiguousarray(live[:, at]) for at, name in enumerate(FEATURES)}
    count_predictions(spec, block, Predictions(owner, np.zeros(len(live)), features=columns))
    le = block.of(families.FEATURE_LE).reshape(-1, BINS + 1)[: len(FEATURES)]  # each begins with the series `start`
    found = [
        psi(np.diff(counts), np.diff(profiles[name]["le"], prepend=0))
        for name, counts in zip(FEATURES, le, strict=True)
    ]
    return len(live) / (time.perf_counter() - begun), found


def configure(folder: Path) -> Path:
    """Twenty models that share one reference."""
    reference(folder)
    quality = {"kind": "binary", "reference": "airbag_reference.json"}
    models = [{"name": f"m{number:02}", "classes": ["0", "1"], "quality": quality} for number in range(MODELS)]
    document = {
        "servings": [{"name": "main", "targets": [{"name": "a", "grpc": "127.0.0.1:1"}], "models": models}],
        "quality": {"state_folder": "state", "pending_max": 500_000},
    }
    path = folder / "exporters.yml"
    path.write_text(yaml.safe_dump(document))
    return path


def bodies(form: Format, count: int, first: int) -> list[bytes]:
    """Batches whose ids nobody sent before."""
    return [form.write(first + number * form.rows, form.rows) for number in range(count)]


def send(exporter: Exporter, form: Format, batches: Sequence[bytes]) -> float:
    """Rows per second at which they were accepted."""
    host = exporter.url.removeprefix("http://")
    waiting = iter(batches)
    lock = threading.Lock()
    refused: list[bytes] = []

    def one_sender() -> None:
        connection = http.client.HTTPConnection(host, timeout=60)
        while True:
            with lock:
                body = next(waiting, None)
            if body is None or refused:
                return connection.close()
            connection.request("POST", "/v1/predictions", body, {"Content-Type": form.content_type})
            answer = connection.getresponse()
            said = answer.read()
            if answer.status != 202:
                refused.append(said)

    senders = [threading.Thread(target=one_sender) for _ in range(SENDERS)]
    begun = time.perf_counter()
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    took = time.perf_counter() - begun
    if refused:
        raise SystemExit(f"a batch was not taken: {refused[0].decode()}")
    return len(batches) * form.rows / took


def bare(config: Path, form: Format, batches: Sequence[bytes]) -> float:
    """Rows per second of decoding and counting alone, on the exporter's core."""
    models = Models(load(config, ExportersConfig))
    owner = Owner("main", "m00", "1")
    spec = models.find(*owner)
    block = Block(Layout.of(spec, owner))
    os.sched_setaffinity(0, {SERVER})
    begun = time.perf_counter()
    for body in batches:
        for part in decode_predictions(body, form.content_type, models, 0.0).parts:
            count_predictions(spec, block, part)
    took = time.perf_counter() - begun
    os.sched_setaffinity(0, {CLIENT})
    return len(batches) * form.rows / took


@contextmanager
def exporter_on_one_core(config: Path) -> Iterator[tuple[Exporter, psutil.Process]]:
    """The exporter; both processes keep to their core."""
    with running("quality", config) as exporter:
        process = psutil.Process(exporter.process.pid)
        process.cpu_affinity([SERVER])
        for thread in process.threads():
            os.sched_setaffinity(thread.id, {SERVER})
        os.sched_setaffinity(0, {CLIENT})
        yield exporter, process


def scrape_ms(exporter: Exporter) -> float:
    """Median milliseconds of a scrape with counters of every model and version."""
    for number in range(MODELS):
        for version in range(1, VERSIONS + 1):
            event = {"model_name": f"m{number:02}", "model_version": version, "score": 0.4}
            answer = exporter.post("/v1/predictions", json.dumps([event]), content_type="application/json")
            answer.raise_for_status()
    took = []
    headers = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "gzip"}
    with requests.Session() as session:
        for _ in range(30):
            begun = time.perf_counter()
            with session.get(f"{exporter.url}/metrics", headers=headers, stream=True, timeout=30) as answer:
                answer.raw.read()
            took.append((time.perf_counter() - begun) * 1000)
    return statistics.median(took)


def mib(process: psutil.Process) -> float:
    """RSS now."""
    return float(process.memory_info().rss) / 2**20


def main() -> None:
    """Measure and print."""
    metrics: dict[str, Measured] = {}
    first = 0
    with tempfile.TemporaryDirectory() as folder:
        config = configure(Path(folder))
        with exporter_on_one_core(config) as (exporter, process):
            metrics["rss_mib_idle"] = Measured(mib(process), "MiB", 90.0)
            peak = 0.0
            for form in FORMATS:
                count = max(8, int(form.target * SECONDS / form.rows))
                rates, floors = [], []
                for _ in range(3):
                    batches = bodies(form, count // 3, first)
                    first += len(batches) * form.rows
                    rates.append(send(exporter, form, batches))
                    floors.append(bare(config, form, batches))
                    peak = max(peak, mib(process))
                    del batches
                    gc.collect()
                unit = "events" if form.name == "ndjson" else "rows"
                metrics[f"{form.name}_{unit}_per_second"] = Measured(
                    statistics.median(rates), f"{unit}/s", form.target, "higher", "bare decode and count",
                    statistics.median(floors),
                )  # fmt: skip
                print(f"{form.name}: {rates} over HTTP, {floors} bare", flush=True)
            metrics["rss_mib"] = Measured(peak, "MiB", 250.0)
            metrics["scrape_ms"] = Measured(scrape_ms(exporter), "ms", 60.0)
    metrics |= drift_by_peers(drift_here)
    report("quality_intake", metrics)


if __name__ == "__main__":
    main()
