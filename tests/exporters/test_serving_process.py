"""`airbag exporter serving` as a process, against servers that speak TF Serving's protocol."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from airbag_exporters.serving.native import Counter, Requests
from tests.exporters.native_page import PageServer, histogram, page_server, write
from tests.exporters.processes import Exporter, assert_golden, assert_lints, running, shape
from tests.fakes.tfs_wire import FakeServing, Status, serving
from tests.fakes.wait import until

MODELS_CONFIG = """model_config_list { config {
  name: "digits" base_path: "/m/digits" model_platform: "tensorflow"
  model_version_policy { specific { versions: 2 versions: 3 } }
  version_labels { key: "stable" value: 2 }
} }
"""
TRAFFIC: dict[Counter, int] = {
    Requests("digits", "OK"): 4,
    Requests("digits", "INTERNAL"): 1,
    Requests("nosuch\udcff", "NOT_FOUND"): 2,
    **histogram("digits", "Predict", "GRPC", [500.0, 130_000.0]),
    **histogram("digits", "predict", "REST", [90.0, 121_440.0]),
    **histogram("digits", "", "REST", [9e6]),
}


@dataclass
class Server:
    """A fake TF Serving: gRPC and metrics page."""

    grpc: FakeServing
    rest: PageServer

    def count(self, times: int) -> None:
        """Have answered the same traffic `times` times."""
        self.rest.page = write({counter: value * times for counter, value in TRAFFIC.items()})


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as grpc, page_server() as rest:
        grpc.models["digits"] = {1: Status.END, 2: Status.AVAILABLE}
        fake = Server(grpc, rest)
        fake.count(1)
        yield fake


def target(name: str, grpc: str, rest: str) -> str:
    return f'{{name: {name}, grpc: "{grpc}", rest: "{rest}"}}'


def configure(folder: Path, *targets: str, extra: str = "") -> Path:
    path = folder / "exporters.yml"
    path.write_text(
        f"servings:\n  - name: main\n    targets: [{', '.join(targets)}]\n    model_config_file: models.config\n"
        f"    models: [{{name: digits, expect: {{latency_bound: 100ms}}}}]\n{extra}"
    )
    (folder / "models.config").write_text(MODELS_CONFIG)
    return path


def config_of(server: Server, folder: Path) -> Path:
    return configure(folder, target("a", server.grpc.address, server.rest.address))


def counted(exporter: Exporter, version: str, status: str = "OK", name: str = "a") -> float | None:
    labels = {"target": name, "model_name": "digits", "model_version": version, "status": status}
    return exporter.value("airbag_tfs_requests_total", **labels)


def until_polled(exporter: Exporter, times: int = 2, name: str = "a") -> None:
    def polled() -> float:
        return exporter.value("airbag_tfs_last_poll_timestamp_seconds", target=name) or 0

    for _ in range(times):
        before = polled()
        until(lambda then=before: polled() > then, what="a further poll")


def test_counts_requests_for_the_version_that_answered(server: Server, tmp_path: Path) -> None:
    with running("serving", config_of(server, tmp_path)) as exporter:
        until(lambda: counted(exporter, "switching") == 4, what="what was there before the exporter")
        until_polled(exporter)
        server.count(3)
        until(lambda: counted(exporter, "2") == 8, what="the traffic of version 2")
        assert counted(exporter, "2", "INTERNAL") == 2
        assert counted(exporter, "switching") == 4
        assert counted(exporter, "1") == 0
        other = {"model_name": "other", "model_version": "multiple", "status": "NOT_FOUND"}
        assert exporter.value("airbag_tfs_requests_total", **other) == 6
        two = {"model_name": "digits", "model_version": "2"}
        assert exporter.value("airbag_tfs_answers_total", **two) == 8
        # The bound of 100 ms lies under the edge of 121.44 ms: what took that or longer is slow.
        assert exporter.value("airbag_tfs_slow_requests_total", **two) == 4
        bucket = {**two, "api": "Predict", "entrypoint": "GRPC"}
        assert exporter.value("airbag_tfs_request_duration_seconds_bucket", **bucket, le="0.00061222") == 2
        assert exporter.value("airbag_tfs_request_duration_seconds_bucket", **bucket, le="+Inf") == 4

        server.grpc.models["digits"] = {1: Status.END, 2: Status.UNLOADING, 3: Status.AVAILABLE}
        server.count(4)
        until(lambda: exporter.value("airbag_tfs_version_switches_total") == 1, what="the switch")
        until_polled(exporter)
        assert counted(exporter, "switching") == 8
        assert counted(exporter, "3") == 0


def test_the_page_shows_what_it_has_always_shown_and_lints(server: Server, tmp_path: Path) -> None:
    server.grpc.models["digits"] = {1: Status.AVAILABLE}
    with running("serving", config_of(server, tmp_path)) as exporter:
        until(lambda: counted(exporter, "switching"), what="the first poll")
        server.grpc.errors["digits", 3] = (5, "no saved_model.pb")
        server.grpc.labels["digits"] = {"stable": 2}
        server.grpc.models["digits"] = {1: Status.END, 2: Status.AVAILABLE, 3: Status.END, 4: Status.LOADING}
        until(lambda: exporter.value("airbag_tfs_version_switches_total"), what="the switch")
        until_polled(exporter)
        page = exporter.get("/metrics").text
        assert exporter.value("airbag_tfs_default_version") == 2
        assert exporter.value("airbag_tfs_model_version_error", code="NOT_FOUND", model_version="3") == 1
        assert exporter.value("airbag_tfs_model_version_state", state="AVAILABLE", model_version="2") == 1
        assert exporter.value("airbag_tfs_previous_version") == 1
        assert exporter.value("airbag_tfs_available_versions") == 1
        assert exporter.value("airbag_tfs_label_available", label="stable") == 1
        since = exporter.value("airbag_tfs_model_version_loading_since_timestamp_seconds", model_version="4")
        assert since is not None
        assert abs(since - time.time()) < 60
        expected = {
            "latency_increase_max": 2,
            "load_duration_max_seconds": 120,
            "availability_objective": 0.999,
            "latency_objective": 0.99,
        }
        for name, value in expected.items():
            assert exporter.value(f"airbag_tfs_{name}", model_name="digits") == value
        for version, wanted in (("1", 0), ("2", 1), ("3", 1)):
            assert exporter.value("airbag_tfs_model_version_wanted", model_version=version) == wanted
    assert_lints(page)
    assert_golden("serving.prom", shape(page))


def test_a_hanging_and_a_dead_server_leave_the_others_alone(server: Server, tmp_path: Path) -> None:
    with serving() as hanging, page_server() as hanging_page:
        hanging.models["digits"] = {2: Status.AVAILABLE}
        hanging.hold.clear()
        hanging_page.hold.clear()
        targets = [
            target("a", server.grpc.address, server.rest.address),
            target("hanging", hanging.address, hanging_page.address),
            target("dead", "127.0.0.1:1", "127.0.0.1:1"),
        ]
        with running("serving", configure(tmp_path, *targets)) as exporter:
            until(lambda: exporter.get("/-/ready").ok, what="readiness")
            until_polled(exporter)
            # On a busy machine a poll may come too late to tell whose traffic it is; the next one does.
            times = count(2)
            until(
                lambda: server.count(next(times)) or counted(exporter, "2"), every=1.0, timeout=30, what="traffic of 2"
            )
            for name, up in (("a", 1), ("hanging", 0), ("dead", 0)):
                until(partial(shows, exporter, name, up), what=f"airbag_tfs_up {up} of {name} and of its parts")
            until_polled(exporter, times=3, name="hanging")
            took = partial(exporter.value, "airbag_tfs_scrape_duration_seconds", target="hanging")
            until(lambda: (took() or 1) < 1, what="a poll of the hanging server within its second")
            hanging.hold.set()
            hanging_page.hold.set()
            until(partial(shows, exporter, "hanging", 1), what="the end of the hanging")
            until(lambda: said(exporter, "hanging", "can be read again") >= 3, what="the log's good news")
        assert said(exporter, "dead", "cannot be read") == 3  # each part once, however many polls failed


def shows(exporter: Exporter, name: str, up: int) -> bool:
    """Whether the target and each of its parts stand at `up`."""
    parts = [
        exporter.value("airbag_tfs_scrape_part_success", target=name, part=part)
        for part in ("status", "metadata", "metrics")
    ]
    return [exporter.value("airbag_tfs_up", target=name), *parts] == [up] * 4


def said(exporter: Exporter, name: str, sentence: str) -> int:
    """How often the log said so about a target."""
    return sum(sentence in line and f"target={name}" in line for line in exporter.log().splitlines())


def test_one_part_may_fail_by_itself(server: Server, tmp_path: Path) -> None:
    server.rest.status = 404
    with running("serving", config_of(server, tmp_path)) as exporter:
        until(lambda: exporter.value("airbag_tfs_scrape_part_success", part="metrics") == 0, what="the failing part")
        assert exporter.value("airbag_tfs_up") == 1
        assert exporter.value("airbag_tfs_default_version") == 2


def test_counters_survive_a_restart_of_the_server(server: Server, tmp_path: Path) -> None:
    with running("serving", config_of(server, tmp_path)) as exporter:
        until(lambda: counted(exporter, "switching") == 4, what="the first poll")
        server.grpc.die()
        server.rest.page = write({Requests("digits", "OK"): 1})
        server.grpc.start()
        until(lambda: counted(exporter, "switching") == 5, what="the counters of the new process")


def test_counters_go_on_after_the_exporter_was_killed(server: Server, tmp_path: Path) -> None:
    config = config_of(server, tmp_path)
    config.write_text(f"state_folder: state\n{config.read_text()}")
    with running("serving", config) as exporter:
        until(lambda: counted(exporter, "switching") == 4, what="the first poll")
        until_polled(exporter)
        server.count(3)
        until(lambda: counted(exporter, "2") == 8, what="the traffic of version 2")
        exporter.process.kill()
        exporter.process.wait()
    server.count(4)  # answered by whom? nobody looked
    with running("serving", config) as exporter:
        until(lambda: counted(exporter, "switching") == 8, what="what was answered while no exporter ran")
        assert counted(exporter, "2") == 8
        two = {"model_name": "digits", "model_version": "2"}
        assert exporter.value("airbag_tfs_answers_total", **two) == 8
        until_polled(exporter)
        server.count(5)
        until(lambda: counted(exporter, "2") == 12, what="the traffic of version 2 again")


def test_a_reload_keeps_the_counters_and_a_refused_one_keeps_the_configuration(server: Server, tmp_path: Path) -> None:
    path = config_of(server, tmp_path)
    with running("serving", path) as exporter:
        until(lambda: counted(exporter, "switching") == 4, what="the first poll")
        path.write_text(path.read_text().replace("100ms", "2s"))
        exporter.process.send_signal(signal.SIGHUP)
        until(lambda: exporter.value("airbag_tfs_latency_bound_seconds") == 2, what="the new bound")
        assert counted(exporter, "switching") == 4
        path.write_text("servings: []\nquality: {pendingmax: 1}\n")
        refused = exporter.post("/-/reload")
        assert refused.status_code == 500
        assert "servings: " in refused.text
        assert "did you mean `pending_max`?" in refused.text
        assert exporter.value("airbag_config_last_reload_successful") == 0
        assert exporter.value("airbag_tfs_latency_bound_seconds") == 2
