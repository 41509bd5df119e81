"""The intake behind a real HTTP server, in a thread of the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import requests
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from airbag.clock import Clock
from airbag.http import Address, bind
from airbag.http_limits import BoundedProtocol, calm
from airbag_exporters.config import Limits
from airbag_exporters.quality.intake import Intake, IntakeMetrics, Kind, Taker
from tests.fakes.wait import until

NDJSON = "application/x-ndjson"
JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"


@dataclass
class Remembering:
    """A taker that counts lines, and does first what it is told to."""

    before: Callable[[], object] = lambda: None
    taken: list[tuple[Kind, bytes, str]] = field(default_factory=list)

    def take(self, kind: Kind, body: bytes, content_type: str) -> int:
        self.before()
        self.taken.append((kind, body, content_type))
        return len(body.splitlines())


@dataclass(frozen=True)
class Served:
    """A running intake."""

    port: int
    intake: Intake
    registry: CollectorRegistry

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(
        self, path: str, body: bytes | Iterator[bytes], content_type: str = NDJSON, **headers: str
    ) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.post(self.url + path, data=body, headers={"content-type": content_type} | named, timeout=30)

    def value(self, name: str, **labels: str) -> float:
        """A sample of the scrape page, which must be there."""
        found = self.registry.get_sample_value(name, labels)
        assert found is not None, f"{name}{labels} is not exported"
        return found

    def refused(self, reason: str) -> float:
        return self.value("airbag_quality_refused_batches_total", reason=reason)

    def in_flight(self) -> float:
        return self.value("airbag_quality_in_flight_bytes")


@contextmanager
def served(
    taker: Taker, limits: Limits | None = None, token: str | None = None, clock: Clock | None = None
) -> Iterator[Served]:
    """Listen on a free port for as long as the block lasts."""
    registry = CollectorRegistry()
    with ThreadPoolExecutor(max_workers=1) as executor:
        intake = Intake(taker, executor, limits or Limits(), token, IntakeMetrics(registry), clock)
        with served_app(Starlette(routes=intake.routes())) as port:
            yield Served(port, intake, registry)


@contextmanager
def served_app(app: Starlette) -> Iterator[int]:
    """The port on which an application answers as our processes do."""
    listener = bind(Address("127.0.0.1", 0))
    config = uvicorn.Config(
        calm(app), http=BoundedProtocol, log_config=None, access_log=False, lifespan="off", ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        until(lambda: server.started, what="the server")
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
        assert not thread.is_alive()
