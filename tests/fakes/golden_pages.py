"""The golden scrapes of every job, served: each series of Airbag, every number growing by one from scrape to scrape."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from itertools import count

from tests.fakes import exported
from tests.fakes.http_server import serving_http


@contextmanager
def golden_pages() -> Iterator[dict[str, str]]:
    """The address of each job that Prometheus scrapes at a page of ours; the second page of the same process too."""
    jobs = [job for job in exported.pages() if job not in ("prometheus", "airbag-quality-reference")]
    with ExitStack() as held:
        yield {job: f"127.0.0.1:{held.enter_context(serving_http(_handler(job)))}" for job in jobs}


def _handler(job: str) -> type[BaseHTTPRequestHandler]:
    files, number = exported.pages(), count(1)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown = files[job] if self.path == "/metrics" else files[job + self.path.replace("/", "-")]
            body = exported.page(shown, next(number)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler
