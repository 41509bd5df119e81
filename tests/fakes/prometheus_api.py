"""Prometheus' instant query API, answering what a test says; it can hang, fail and lie."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

from tests.fakes.http_server import serving_http

NAMES = {
    "increase(airbag_tfs_slow_requests_total": "lately slow", 'status!~"OK|CANCELLED': "lately errors",
    "errors_per_request": "errors", "tfs_requests:": "requests", "slow_per_answer": "slow", "tfs_answers:": "answers",
    "quality_accuracy:ratio": "accuracy", "quality_accuracy:upper_bound": "accuracy", "quality_labelled": "labelled",
    "model_version_error": "failing",
    "probe_success": "wrong",
}  # fmt: skip


@dataclass(eq=False)
class FakePrometheus:
    """`values` maps (name, version, whether history) to a number, None for no series, or text as sent ("NaN").

    `firing` are the labels of the alerts that fire. While `open` is cleared, questions are taken and not answered.
    `status` other than 200 fails every question.
    """

    values: dict[tuple[str, str | None, bool], float | str | None] = field(default_factory=dict)
    thresholds: dict[str, float | None] = field(
        default_factory=lambda: {
            "error_ratio_max": 0.05, "slow_ratio_max": 0.05, "accuracy_min": 0.85, "requests_min": 20, "labels_min": 50,
        }
    )  # fmt: skip
    age: float | None = 0.5
    status: int = 200
    body: bytes | None = None
    firing: list[dict[str, str]] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def __post_init__(self) -> None:
        self.open.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def errors(self, version: int, ratio: float | str | None, requests: float = 500, *, history: bool = False) -> None:
        """Let a version's error ratio be `ratio`, now or in its history."""
        self.values[("errors", str(version), history)] = ratio
        self.values[("requests", str(version), history)] = requests

    def number(self, query: str) -> float | str | None:
        """What this query is answered with."""
        if query.startswith("time()"):
            return self.age
        if query == "vector(0)":
            return 0
        for name, threshold in self.thresholds.items():
            if re.match(rf"(max|min)\(airbag_\w+_{name}\b", query):
                return threshold
        name = next((short for part, short in NAMES.items() if part in query), query)
        version = re.search(r'model_version="(\d+)"', query)
        if name.startswith("lately") and (name, version and version[1], False) not in self.values:
            name = name.removeprefix("lately ")
        return self.values.get((name, version[1] if version else None, "over_time" in query))


def _handler(fake: FakePrometheus) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            query = form["query"][0]
            fake.asked.append((query, form.get("time", [None])[0]))  # type: ignore[list-item] # typeshed has no None here
            fake.open.wait(60)
            number = fake.number(query)
            result: list[Any] = [] if number is None else [{"metric": {}, "value": [0, str(number)]}]
            if query.startswith("ALERTS{"):
                meta = {"__name__": "ALERTS", "alertstate": "firing"}
                result = [{"metric": meta | labels, "value": [0, "1"]} for labels in fake.firing]
            answer = {"status": "success", "data": {"resultType": "vector", "result": result}}
            body = fake.body or json.dumps(answer).encode()
            try:
                self.send_response(fake.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                self.close_connection = True  # the client is gone

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@contextmanager
def prometheus() -> Iterator[FakePrometheus]:
    """A running fake on a free port."""
    fake = FakePrometheus()
    with serving_http(_handler(fake)) as fake.port:
        try:
            yield fake
        finally:
            fake.open.set()
