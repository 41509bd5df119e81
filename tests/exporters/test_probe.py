"""`/probe`: servers that nobody listed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import requests
from starlette.requests import Request
from starlette.responses import Response

from airbag.clock import SystemClock
from airbag_exporters.config import load_exporters
from airbag_exporters.serving.native import Requests
from airbag_exporters.serving.probe import FORGOTTEN_AFTER, TIMEOUT_HEADER, Probes
from tests.exporters.native_page import PageServer, page_server, write
from tests.exporters.processes import Exporter, assert_lints, running
from tests.fakes.tfs_wire import FakeServing, Status, serving
from tests.fakes.wait import until

CONFIG = """
probe_targets_max: 2
servings: [{{name: main, targets: [{{name: a, grpc: "127.0.0.1:1"}}]}}]
modules:
  digits: {{rest_port: {port}, models: [{{name: digits, expect: {{error_ratio_max: 0.25}}}}]}}
  grpc-only: {{rest_port: null, models: [{{name: digits}}]}}
"""


@pytest.fixture
def server() -> Iterator[FakeServing]:
    with serving() as grpc:
        grpc.models["digits"] = {1: Status.AVAILABLE}
        yield grpc


@pytest.fixture
def page() -> Iterator[PageServer]:
    with page_server() as rest:
        rest.page = write({Requests("digits", "OK"): 4})
        yield rest


@pytest.fixture
def config(page: PageServer, tmp_path: Path) -> Path:
    path = tmp_path / "exporters.yml"
    path.write_text(CONFIG.format(port=page.address.rpartition(":")[2]))
    return path


def probe(exporter: Exporter, **params: str) -> requests.Response:
    return requests.get(f"{exporter.url}/probe", params=params, timeout=10)


def test_a_probed_server_is_counted_from_its_first_scrape_on(
    server: FakeServing, page: PageServer, config: Path
) -> None:
    with running("serving", config) as exporter:
        first = probe(exporter, target=server.address, module="digits")
        names = f'serving="digits",target="{server.address}"'

        def line(owner: str, count: int) -> str:
            labels = f'{names},model_name="digits",model_version="{owner}",status="OK"'
            return f"airbag_tfs_requests_total{{{labels}}} {count}\n"

        assert first.status_code == 200
        assert line("switching", 4) in first.text
        assert line("1", 0) in first.text
        assert f"airbag_tfs_up{{{names}}} 1\n" in first.text
        assert 'airbag_tfs_error_ratio_max{serving="digits",model_name="digits"} 0.25\n' in first.text
        assert_lints(first.text)
        page.page = write({Requests("digits", "OK"): 9})
        until(lambda: line("1", 5) in probe(exporter, target=server.address, module="digits").text,
              what="what version 1 answered between two scrapes")  # fmt: skip
        assert server.address not in exporter.get("/metrics").text


def test_a_dead_server_answers_with_up_0(config: Path) -> None:
    with running("serving", config) as exporter:
        answer = probe(exporter, target="127.0.0.1:1", module="digits")
    assert answer.status_code == 200
    assert 'airbag_tfs_up{serving="digits",target="127.0.0.1:1"} 0\n' in answer.text


class Later(SystemClock):
    """The machine's clock, and as much later as one likes."""

    later = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.later


class Client:
    """Asks an exporter's /probe without a socket between."""

    def __init__(self, config: Path) -> None:
        self.clock = Later()
        self.probes = Probes(load_exporters(config), self.clock)

    def get(self, timeout: str | None = None, **params: str) -> Response:
        headers = [] if timeout is None else [(TIMEOUT_HEADER.lower().encode(), timeout.encode())]
        scope = {"type": "http", "method": "GET", "path": "/probe", "headers": headers,
                 "query_string": urlencode(params).encode()}  # fmt: skip
        return self.probes.endpoint(Request(scope))


@pytest.fixture
def client(config: Path) -> Iterator[Client]:
    client = Client(config)
    try:
        yield client
    finally:
        client.probes.stop()


@pytest.mark.parametrize(
    ("params", "timeout", "text"),
    [
        ({"target": "h:1"}, None, "unknown module 'default'; there are: digits, grpc-only"),
        ({"target": "h:1", "module": "x"}, None, "unknown module 'x'"),
        ({"module": "digits"}, None, "`target` should be HOST:PORT"),
        ({"module": "digits", "target": "http://h:1/"}, None, "`target` should be HOST:PORT"),
        ({"module": "digits", "target": "h:70000"}, None, "`target` should be HOST:PORT"),
        ({"module": "digits", "target": "127.0.0.1:1"}, "soon", "should be a number of seconds"),
        ({"module": "digits", "target": "127.0.0.1:1"}, "nan", "should be a number of seconds"),
    ],
)
def test_a_wrong_probe_is_told_what_would_be_right(
    params: dict[str, str], timeout: str | None, text: str, client: Client
) -> None:
    answer = client.get(timeout, **params)
    assert answer.status_code == 400
    assert text in bytes(answer.body).decode()


def test_a_scrape_that_cannot_wait_is_not_made_to(server: FakeServing, client: Client) -> None:
    server.hold.clear()
    params = {"module": "grpc-only", "target": server.address}
    answer = client.get("0.5", **params)
    assert (answer.status_code, answer.body) == (503, b"no poll ended within 0 s\n")
    server.hold.set()
    assert client.get("9", **params).status_code == 200


def test_targets_are_bounded_and_forgotten_when_nobody_asks(client: Client) -> None:
    def statuses(*ports: int) -> list[int]:
        return [client.get(module="grpc-only", target=f"127.0.0.1:{port}").status_code for port in ports]

    assert statuses(1, 2, 3, 1) == [200, 200, 503, 200]
    client.clock.later += FORGOTTEN_AFTER + 1
    assert statuses(3, 2, 1) == [200, 200, 503]
    names = {thread.name for thread in threading.enumerate()}
    assert {"probe grpc-only/127.0.0.1:2", "probe grpc-only/127.0.0.1:3"} <= names
    until(lambda: "probe grpc-only/127.0.0.1:1" not in {thread.name for thread in threading.enumerate()},
          what="the end of the poller that nobody asks")  # fmt: skip


def test_a_module_that_leaves_the_configuration_is_unknown(client: Client, config: Path) -> None:
    params = {"module": "grpc-only", "target": "127.0.0.1:1"}
    assert client.get(**params).status_code == 200
    config.write_text(config.read_text().replace("grpc-only", "other"))
    client.probes.adopt(load_exporters(config))
    assert client.get(**params).status_code == 400
