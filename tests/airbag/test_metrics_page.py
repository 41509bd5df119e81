"""The page behind /metrics: what is on it, in which format, and compressed when that pays."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from airbag.metrics_page import accepts_gzip
from tests.airbag.http_process import Running, running

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PROCESS = """
import sys
import threading
from starlette.applications import Starlette
from airbag import log
from airbag.http import Address, Surface, Web, serve

def page():
    assert threading.current_thread() is not threading.main_thread()
    yield b"# HELP sample_total Numbered.\\n# TYPE sample_total counter\\n"
    yield b"".join(b'sample_total{n="%d"} 1\\n' % n for n in range(count))

log.setup()
count = int(sys.argv[3])
surface = Surface("pages", pages=[page, lambda: [b"# second page\\n"]] if count else [])
serve(Starlette(routes=surface.routes()), surface, Web(Address.parse(sys.argv[2])))
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(PROCESS, tmp_path_factory.mktemp("large"), "2000") as process:
        yield process


def scrape(process: Running, encoding: str, accept: str = OPENMETRICS, method: str = "GET") -> requests.Response:
    headers = {"accept-encoding": encoding, "accept": accept}
    return requests.request(method, f"{process.url}/metrics", headers=headers, timeout=10, stream=True)


def test_pages_follow_the_registry_and_are_always_in_the_classic_format(large: Running) -> None:
    answer = scrape(large, "identity")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert "airbag_build_info{" in answer.text.split("# HELP sample_total")[0]
    assert answer.text.endswith('sample_total{n="1999"} 1\n# second page\n')
    assert "# EOF" not in answer.text


def test_a_large_page_is_compressed_for_whoever_takes_it(large: Running) -> None:
    answer = scrape(large, "gzip")
    body = answer.raw.read(decode_content=False)
    assert answer.headers["content-encoding"] == "gzip"
    assert len(body) == int(answer.headers["content-length"]) < 20_000
    assert gzip.decompress(body).endswith(b'sample_total{n="1999"} 1\n# second page\n')
    assert "content-encoding" not in scrape(large, "gzip;q=0, deflate").headers


def test_head_answers_as_get_does_without_a_body(large: Running) -> None:
    answer = scrape(large, "identity", method="HEAD")
    assert (answer.status_code, answer.raw.read()) == (200, b"")
    assert int(answer.headers["content-length"]) > 40_000


def test_a_small_page_is_sent_as_it_is_and_negotiated(tmp_path: Path) -> None:
    with running(PROCESS, tmp_path, "0") as process:
        answer = scrape(process, "gzip")
        assert "content-encoding" not in answer.headers
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        assert answer.headers["vary"] == "Accept, Accept-Encoding"
        assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("x-gzip", True),
        ("*", True),
        ("*;q=0, gzip", True),
        ("gzip;q=1.0, identity; q=0.5, *;q=0", True),
        ("", False),
        ("deflate, br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("gzip;q=much", False),
        ("*;q=0", False),
    ],
)
def test_gzip_is_used_only_where_the_header_allows_it(header: str, allowed: bool) -> None:
    assert accepts_gzip(header) is allowed
