"""Links from a query to Prometheus, which knows itself where people find it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import pytest

from airbag_rollback.pages.graph import Graph
from tests.fakes.clock import SetClock
from tests.fakes.http_server import serving_http


@dataclass
class Flags:
    """A Prometheus that tells its flags."""

    external: object = "https://prometheus.example.com/p/"
    status: int = 200
    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def flags() -> Iterator[Flags]:
    found = Flags()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            body = json.dumps({"status": "success", "data": {"web.external-url": found.external}}).encode()
            self.send_response(found.status)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if found.status == 200 else b"x" * len(body))

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving_http(Handler) as found.port:
        yield found


def test_a_query_leads_to_the_graph_around_the_moment_when_it_was_asked(flags: Flags) -> None:
    link = urlsplit(Graph(lambda: flags.url, SetClock()).link('up{job="a b"} > 1', 1_000_000.0))
    assert (link.scheme, link.netloc, link.path) == ("https", "prometheus.example.com", "/p/graph")
    fields = parse_qs(link.query)
    assert fields["g0.expr"] == ['up{job="a b"} > 1']
    assert fields["g0.end_input"] == ["1970-01-12 13:51:40"]


@pytest.mark.parametrize(
    "external", ["", "javascript:alert(1)", "https://user:secret@prometheus.example.com", "prometheus", None, 7],
)  # fmt: skip
def test_without_a_good_address_for_people_there_is_no_link(flags: Flags, external: object) -> None:
    flags.external = external
    assert Graph(lambda: flags.url, SetClock()).link("up", 0.0) == ""


def test_a_prometheus_that_is_away_or_refuses_costs_one_question_a_minute(flags: Flags) -> None:
    clock = SetClock()
    graph = Graph(lambda: flags.url, clock)
    flags.status = 500
    assert [graph.link("up", 0.0) for _ in range(3)] == ["", "", ""]
    assert len(flags.asked) == 1
    flags.status = 200
    clock.time += 61
    assert graph.link("up", 0.0)
    clock.time += 200
    assert graph.link("up", 0.0)
    assert len(flags.asked) == 2
    assert Graph(lambda: "http://127.0.0.1:1", clock).link("up", 0.0) == ""


def test_a_redirect_is_not_followed(flags: Flags) -> None:
    flags.status = 302
    assert Graph(lambda: flags.url, SetClock()).link("up", 0.0) == ""
