"""The serving exporter's page about one model version that answers a hundred requests a second, at first all well."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.fakes.http_server import serving_http

_RATE = 100.0
_MODEL = 'serving="main",model_name="digits"'


@dataclass
class FaultyModel:
    """Where the page is, and since when the version answers errors only."""

    port: int = 0
    begun: float = field(default_factory=time.monotonic)
    bad_since: float | None = None

    def go_bad(self) -> float:
        """From now on every answer is an error; when that is (monotonic seconds)."""
        self.bad_since = time.monotonic()
        return self.bad_since

    def page(self) -> str:
        """The counters as they stand now, and the thresholds."""
        now = time.monotonic()
        turned = now if self.bad_since is None else self.bad_since
        counts = {"OK": (turned - self.begun) * _RATE, "INTERNAL": (now - turned) * _RATE}
        samples = [
            f'airbag_tfs_requests_total{{{_MODEL},target="a",model_version="3",status="{status}"}} {int(count)}'
            for status, count in counts.items()
        ]
        return "\n".join(
            [
                "# TYPE airbag_tfs_requests_total counter", *samples,
                "# TYPE airbag_tfs_error_ratio_max gauge", f"airbag_tfs_error_ratio_max{{{_MODEL}}} 0.05",
                "# TYPE airbag_tfs_requests_min gauge", f"airbag_tfs_requests_min{{{_MODEL}}} 20", "",
            ]
        )  # fmt: skip


@contextmanager
def faulty_model() -> Iterator[FaultyModel]:
    """Serve the page on a free port until the block ends."""
    model = FaultyModel()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = model.page().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with serving_http(Handler) as port:
        model.port = port
        yield model
