"""Fifty switches of the default version under traffic, up and down, with real models on the local model server.

Every version serves once and every client notes which one answered it, so a request that is counted for a version
that did not answer it shows up at the end.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import numpy as np
import pytest
import requests

from airbag.errors import Refused
from airbag.serving.control import reload
from airbag.serving.reader import Reader
from airbag.serving.values import Endpoint
from airbag_exporters.serving.native import Bucket, Page, Parser, Requests
from airbag_exporters.serving.totals import seconds
from tests.exporters.processes import Exporter, Labels, running
from tests.fakes import model_server, saved_models
from tests.fakes.wait import until

SWITCHES = 50
ORDER = [number for pair in range(2, SWITCHES + 3, 2) for number in (pair, pair - 1)][: SWITCHES + 1]
"""2, 1, 4, 3, 6, 5, ...: down, up, down, up, and no number twice."""

Samples = dict[tuple[str, Labels], float]


def config(base: Path, version: int) -> str:
    policy = f"model_version_policy {{ specific {{ versions: {version} }} }}"
    entry = f'name: "m" base_path: "{base}" model_platform: "tensorflow" {policy}'
    return f"model_config_list {{ config {{ {entry} }} }}\n"


class Client:
    """Asks without naming a version, over gRPC and REST, and sometimes nonsense. Each model answers its number."""

    def __init__(self, reader: Reader, rest_url: str) -> None:
        self.answered: Counter[str] = Counter()
        self.refused = 0
        self.lost: list[object] = []
        self._reader = reader
        self._rest_url = f"{rest_url}/v1/models/m:predict"

    def ask(self, random: Random, session: requests.Session) -> None:
        if random.random() < 0.05:
            with pytest.raises(Refused, match="INVALID_ARGUMENT"):
                self._reader.predict("m", {"nonsense": np.zeros(1, np.float32)})
            self.refused += 1
        elif random.random() < 0.1:
            answer = session.post(self._rest_url, json={"instances": [1.0]}, timeout=10)
            answer.raise_for_status()
            self.answered[str(int(answer.json()["predictions"][0]))] += 1
        else:
            self.answered[str(self._reader.predict("m", {"x": np.zeros(1, np.float32)}).version)] += 1


@contextmanager
def traffic(client: Client) -> Iterator[None]:
    """One request after the other until the end."""
    stopped = threading.Event()

    def run() -> None:
        random = Random(7)  # noqa: S311 - a mixture, not a secret
        with requests.Session() as session:
            while not stopped.wait(0.005):
                try:
                    client.ask(random, session)
                except Exception as error:  # noqa: BLE001 - the test tells it
                    client.lost.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def counters(samples: Samples) -> Samples:
    return {key: value for key, value in samples.items() if key[0].endswith(("_total", "_bucket", "_count"))}


def by_owner(samples: Samples, status: str) -> Counter[str]:
    """Requests of the model by who answered."""
    found: Counter[str] = Counter()
    for (name, labels), value in samples.items():
        each = dict(labels)
        if name == "airbag_tfs_requests_total" and (each["model_name"], each["status"]) == ("m", status):
            found[each["model_version"]] += int(value)
    return found


def as_native(samples: Samples) -> Counter[object]:
    """Our counters of the model, summed over their owners, under the native names."""
    found: Counter[object] = Counter()
    for (name, labels), value in samples.items():
        each = dict(labels)
        if each.get("model_name") != "m":
            continue
        if name == "airbag_tfs_requests_total":
            found["m", each["status"]] += int(value)
        elif name == "airbag_tfs_request_duration_seconds_bucket":
            found["m", each["api"], each["entrypoint"], each["le"]] += int(value)
    return +found


def native(page: Page) -> Counter[object]:
    return +Counter[object]({
        (counter.model, counter.status) if isinstance(counter, Requests)
        else (counter.model, counter.api, counter.entrypoint, seconds(counter.edge)): value
        for counter, value in page.counters.items()
        if isinstance(counter, Requests | Bucket)
    })  # fmt: skip


def switch(exporter: Exporter, reader: Reader, endpoint: Endpoint, base: Path, random: Random) -> None:
    """Go through ORDER, staying with each version for a moment; our counters never fall meanwhile."""
    before: Samples = {}
    for version in ORDER[1:]:
        pause = threading.Event()
        pause.wait(random.uniform(0, 2.2))
        reload(endpoint, config(base, version))
        until(lambda version=version: reader.default_version("m") == version, timeout=30, what=f"version {version}")
        now = counters(exporter.samples())
        fallen = {key: (value, now.get(key)) for key, value in before.items() if now.get(key, -1) < value}
        assert not fallen
        before = now


@pytest.mark.long
@pytest.mark.timeout(400)
def test_fifty_switches_under_traffic_are_counted_exactly(tmp_path: Path) -> None:
    base, models_config, exporters = tmp_path / "m", tmp_path / "models.config", tmp_path / "exporters.yml"
    for version in ORDER:
        saved_models.add_model(base, version, scale=version)
    models_config.write_text(config(base, ORDER[0]))
    with model_server.running(config_file=models_config) as server:
        rest = f"127.0.0.1:{server.rest_port}"
        endpoint = Endpoint(server.grpc_address, rest)
        exporters.write_text(
            f'servings: [{{name: main, targets: [{{name: a, grpc: "{server.grpc_address}", rest: "{rest}"}}]}}]\n'
        )
        with Reader(endpoint) as reader, running("serving", exporters) as exporter:
            client = Client(reader, server.rest_url)
            with traffic(client):
                until(lambda: by_owner(exporter.samples(), "OK").total() > 20, what="the model, found by its requests")
                switch(exporter, reader, endpoint, base, Random(3))  # noqa: S311
            truth = native(Parser().parse(reader.native_page()))
            until(lambda: as_native(exporter.samples()) == truth, what="the native counters as sums")
            owned = by_owner(exporter.samples(), "OK")
            seen = exporter.value("airbag_tfs_version_switches_total", model_name="m")
            assert 0.9 * SWITCHES <= seen <= SWITCHES  # a poll that came late may have missed one
    assert client.lost == []
    assert truth["m", "OK"] == client.answered.total()
    assert truth["m", "INVALID_ARGUMENT"] == client.refused
    nobody = owned.pop("switching")
    assert {version: count for version, count in owned.items() if count > client.answered[version]} == {}
    assert owned.total() > 0.2 * (owned.total() + nobody)
