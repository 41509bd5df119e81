"""The real Prometheus: with a past that a test writes, or with the shipped rules over a page that a test serves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import requests
import yaml

from airbag_demo.processes import Processes, Program
from tests.fakes import shipped
from tests.fakes.binaries import find, run
from tests.fakes.http_server import serving_http
from tests.fakes.ports import free_port

Course = Callable[[float], float | None]
"""What a series is worth at a time given in seconds from now; None where it has no sample."""


def since(begin: float, value: float, end: float = math.inf) -> Course:
    """A series that stands at `value` from `begin` until `end`."""
    return lambda at: value if begin <= at < end else None


def growing(rate: float, begin: float = -math.inf) -> Course:
    """A counter that grows by `rate` a second, from 0 at `begin`, or for ever."""
    return lambda at: rate * (at - begin if begin > -math.inf else at + 100_000) if at >= begin else None


@contextmanager
def with_past(
    folder: Path, series: Mapping[str, Course], *, back: float = 900.0, ahead: float = 300.0, step: float = 5.0
) -> Iterator[tuple[str, float]]:
    """A Prometheus that holds these series, from `back` seconds ago to `ahead` seconds from now; its URL, and "now".

    Names are written as in PromQL: `name{label="value"}`. Nothing is scraped and no rule runs.
    """
    now = math.floor(time.time())
    lines = []
    for name, course in series.items():
        for count in range(int((back + ahead) / step)):
            value = course(-back + count * step)
            if value is not None:
                lines.append(f"{name} {value!r} {now - back + count * step:.3f}")
    samples = folder / "past.om"
    samples.write_text("\n".join([*lines, "# EOF", ""]))
    data = folder / "data"
    run("promtool", "tsdb", "create-blocks-from", "openmetrics", samples, data)
    with _prometheus(folder, data, {"global": {}}) as url:
        yield url, float(now)


@contextmanager
def with_rules(folder: Path, page: Callable[[], str]) -> Iterator[str]:
    """A Prometheus that scrapes `page` every second and evaluates the shipped rules; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving_http(Handler) as port:
        configuration = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path) for path in sorted(shipped.RULES.glob("*.yml"))],
            "scrape_configs": [{"job_name": "airbag", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
        }
        with _prometheus(folder, folder / "data", configuration) as url:
            yield url


@contextmanager
def _prometheus(folder: Path, data: Path, configuration: Mapping[str, object]) -> Iterator[str]:
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump(dict(configuration)))
    address = f"127.0.0.1:{free_port()}"
    command = [
        str(find("prometheus")), f"--config.file={config}", f"--storage.tsdb.path={data}",
        f"--web.listen-address={address}", "--storage.tsdb.retention.time=10y",
    ]  # fmt: skip
    with Processes(folder) as processes:
        url = f"http://{address}"
        processes.start(Program("prometheus", command, lambda: requests.get(f"{url}/-/ready", timeout=1).ok))
        processes.wait_ready()
        yield url
