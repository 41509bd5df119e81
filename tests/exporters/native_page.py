"""TF Serving's metrics page, written as the real server writes it, and a small HTTP server that hands it out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from airbag_exporters.serving.native import EDGES, INF, Bucket, Counter, Requests

PREFIX = ":tensorflow:serving:request_"


def line(counter: Counter, value: int) -> bytes:
    """One sample line. Only quotes and backslashes are escaped, as in the real server."""
    if isinstance(counter, Requests):
        name, labels = "count", {"model_name": counter.model, "status": counter.status}
    else:
        name = "latency_bucket"
        labels = {
            "model_name": counter.model,
            "API": counter.api,
            "entrypoint": counter.entrypoint,
            "le": counter.edge,
        }
    text = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
    return f"{PREFIX}{name}{{{text}}} {value}\n".encode(errors="surrogateescape")


def write(counters: Mapping[Counter, int]) -> bytes:
    """A whole page: with the TYPE lines, and with the sum and the count that the server writes after a histogram."""
    requests = [line(counter, value) for counter, value in counters.items() if isinstance(counter, Requests)]
    latency = [_with_end(counter, value) for counter, value in counters.items() if isinstance(counter, Bucket)]
    return b"".join([_type("count", "counter"), *requests, _type("latency", "histogram"), *latency])


def _type(name: str, kind: str) -> bytes:
    return f"# TYPE {PREFIX}{name} {kind}\n".encode()


def _with_end(bucket: Bucket, value: int) -> bytes:
    written = line(bucket, value)
    if bucket.edge != INF:
        return written
    end = written.replace(b',le="+Inf"', b"")
    sum_, count = (end.replace(b"latency_bucket", name, 1) for name in (b"latency_sum", b"latency_count"))
    return written + sum_.rpartition(b" ")[0] + b" 1.27482e+06\n" + count


def histogram(model: str, api: str, entrypoint: str, micros: list[float]) -> dict[Counter, int]:
    """The buckets of requests that took `micros` microseconds each; upper edges are exclusive."""
    return {Bucket(model, api, entrypoint, edge): sum(1 for each in micros if each < float(edge)) for edge in EDGES}


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


class PageServer:
    """Serves `page` at the native path; `hold` cleared makes requests hang."""

    def __init__(self) -> None:
        self.page = b""
        self.status = 200
        self.hold = threading.Event()
        self.hold.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.hold.wait(20)
                known = self.path == "/monitoring/prometheus/metrics"
                body = outer.page if known else b"Unexpected path"
                self.send_response(outer.status if known else 400)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def page_server() -> Iterator[PageServer]:
    """A running page server on a free port; stopped at the end."""
    server = PageServer()
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()
