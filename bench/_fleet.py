"""Prometheus over 100 models with 3 versions each: the pages of the real exporters, and counters on them that grow.

First the real exporters and the receiver run for a moment, every version gets traffic, labels and five features, and
their pages are kept. Then a server of ours shows these pages on the same ports, with counters that grow by what they
were every half minute, and a real Prometheus with the shipped configuration scrapes them and evaluates the shipped
rules.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import requests

from bench._pages import Pages
from bench._server import Model, busy
from bench._stack import Running, running
from tests.fakes.tfs_wire import Status
from tests.fakes.wait import until

MODELS, VERSIONS, FEATURES, BINS, ROWS = 100, 3, 5, 10, 60
PAGES = {
    ("serving-exporter", "/metrics"), ("quality-exporter", "/metrics"), ("quality-exporter", "/reference"),
    ("host-exporter", "/metrics"), ("receiver", "/metrics"),
}  # fmt: skip
GROWS_IN = 30.0
_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?P<labels>\{.*\})? (?P<value>\S+)")
_TYPE = re.compile(r"# TYPE (\S+) (\S+)")


@dataclass(frozen=True)
class Fleet:
    """What runs, and how many series Prometheus scrapes of it."""

    here: Running
    series: int


@contextlib.contextmanager
def fleet() -> Iterator[Fleet]:
    """Prometheus and Alertmanager are running when the block begins."""
    models = [Model(f"model-{number}", lambda _: 20.0, 0.01, 0.01) for number in range(MODELS)]
    with (
        tempfile.TemporaryDirectory(prefix="airbag-bench-") as folder,
        busy(models) as server,
        running(server, entries(Path(folder)), {name for name, _ in PAGES}) as here,
    ):
        live(here)
        until(lambda: counts(here), timeout=60, every=0.5, what="numbers of all versions, which begin at 0")
        pages = {(name, path): Page(page_of(here, name, path)) for name, path in sorted(PAGES)}
        here.processes.stop()
        server.stop()
        with ExitStack() as ends:
            for name in {name for name, _ in pages}:
                ends.callback(Pages(here.stack.ports[name], partial(body, pages, name)).close)
            for program in here.stack.programs():
                if program.name in ("alertmanager", "prometheus"):
                    here.processes.start(program)
            here.processes.wait_ready()
            yield Fleet(here, sum(page.samples for page in pages.values()))


def body(pages: Mapping[tuple[str, str], Page], name: str, path: str) -> bytes | None:
    """The page of one of our processes, as it is by now."""
    page = pages.get((name, path))
    return page.now() if page else None


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


def counts(here: Running) -> bool:
    """Whether the quality exporter shows what came of every version; the first time that it shows one, it shows 0."""
    lines = [line for line in page_of(here, "quality-exporter").splitlines() if 'correct="true"' in line]
    right = [line for line in lines if line.startswith("airbag_quality_labelled_total{")]
    return sum(float(line.rpartition(" ")[2]) > 0 for line in right) == MODELS * VERSIONS


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
