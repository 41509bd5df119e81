"""The serving exporter beside a server with real models, while versions change under traffic."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from airbag.serving.reader import Reader
from airbag.serving.values import Endpoint
from airbag_exporters.serving.native import Requests, parse
from tests.exporters.processes import Exporter, running
from tests.fakes import model_server, saved_models
from tests.fakes.wait import until


@contextmanager
def traffic(reader: Reader) -> Iterator[Counter[str]]:
    """Requests one after the other until the end; how many each version answered."""
    answered: Counter[str] = Counter()
    stopped = threading.Event()

    def ask() -> None:
        while not stopped.wait(0.01):
            answered[str(reader.predict("m", {"x": np.zeros(1, np.float32)}).version)] += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answered
    finally:
        stopped.set()
        thread.join()


def counted(exporter: Exporter) -> dict[str, float]:
    """OK requests of the model by owner."""
    found = {}
    for (name, labels), value in exporter.samples().items():
        each = dict(labels)
        if name == "airbag_tfs_requests_total" and (each["model_name"], each["status"]) == ("m", "OK"):
            found[each["model_version"]] = value
    return found


def test_versions_get_their_own_requests_and_together_all_of_them(tmp_path: Path) -> None:
    base, config = tmp_path / "m", tmp_path / "exporters.yml"
    saved_models.add_model(base, 1)
    with model_server.running(base_path=base) as server:
        rest = f"127.0.0.1:{server.rest_port}"
        target = f'{{name: a, grpc: "{server.grpc_address}", rest: "{rest}"}}'
        config.write_text(f"servings: [{{name: main, targets: [{target}], models: [{{name: m}}]}}]\n")
        reader = Reader(Endpoint(server.grpc_address, rest))
        with reader, running("serving", config) as exporter:
            with traffic(reader) as answered:
                until(lambda: counted(exporter).get("1", 0) > 100, timeout=20, what="requests of version 1")
                saved_models.add_model(base, 2)
                until(lambda: counted(exporter).get("2", 0) > 100, timeout=30, what="requests of version 2")
                (base / "2").rename(base / "2.gone")
                before = answered["1"]
                until(lambda: answered["1"] > before + 200, timeout=30, what="version 1 again")
            native = parse(reader.native_page()).counters[Requests("m", "OK")]
            assert native == answered.total()
            until(lambda: sum(counted(exporter).values()) == native, what="the native counter as a sum")
            found = counted(exporter)
            for version in ("1", "2"):
                assert 100 < found[version] <= answered[version]
            assert found["switching"] > 0
            assert exporter.value("airbag_tfs_version_switches_total") == 2
