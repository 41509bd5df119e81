"""How much comes in at the same time, and what is left of it when clients misbehave."""

from __future__ import annotations

import gc
import gzip
import http.client
import json
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from airbag_exporters.config import Limits
from airbag_exporters.quality.columns import BadBatch
from airbag_exporters.quality.intake import Kind
from tests.exporters.quality.intake_server import Remembering, Served, served
from tests.fakes.wait import until

MB = 1_000_000
SMALL = b'{"id": "1"}\n'


@contextmanager
def upload(at: Served, sent: bytes, *, length: int | None = None, extra: str = "") -> Iterator[socket.socket]:
    """A request whose body stops half way; `length` None is a chunked one."""
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    head = f"POST /v1/labels HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{extra}{framing}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", at.port), timeout=30) as connection:
        connection.sendall(head.encode() + (chunk(sent) if length is None else sent))
        yield connection


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""


def answer(connection: socket.socket) -> http.client.HTTPResponse:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response


def holds(at: Served, size: int) -> None:
    until(lambda: at.in_flight() == size, what=f"{size} bytes in flight, not {at.in_flight()}")


def test_what_was_declared_is_held_before_it_comes_and_the_rest_must_wait() -> None:
    taker = Remembering()
    with served(taker, Limits(in_flight_bytes=10 * MB)) as at, ExitStack() as stack:
        slow = [stack.enter_context(upload(at, b" ", length=3 * MB)) for _ in range(3)]
        holds(at, 9 * MB)
        with upload(at, b" ", length=2 * MB) as one_more:
            refused = answer(one_more)
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            assert refused.headers["connection"] == "close"
            assert "error" in json.loads(refused.read())
        assert at.post("/v1/labels", SMALL).status_code == 202  # what fits is taken
        assert at.refused("memory") == 1
        slow[0].sendall(b" " * (3 * MB - 1))
        assert answer(slow[0]).status == 202
        holds(at, 6 * MB)
        with upload(at, b" " * (2 * MB), length=2 * MB) as again:
            assert answer(again).status == 202
        holds(at, 6 * MB)
    assert [len(body) for _, body, _ in taker.taken] == [len(SMALL), 3 * MB, 2 * MB]


def test_chunked_bodies_are_held_as_they_grow() -> None:
    with served(Remembering(), Limits(in_flight_bytes=MB)) as at:
        with upload(at, b" " * 600_000) as first:
            holds(at, 600_000)
            with upload(at, b" " * 300_000) as second:
                holds(at, 900_000)
                second.sendall(chunk(b" " * 200_000))
                assert answer(second).status == 503
                holds(at, 600_000)
            first.sendall(chunk(b" " * 200_000) + b"0\r\n\r\n")
            assert answer(first).status == 202
        holds(at, 0)


def test_many_slow_clients_never_hold_more_than_the_bound() -> None:
    """Sixty clients declare 1 MB each and send it drop by drop; the gauge is read all the while."""
    bound, clients = 8 * MB, 60
    with served(Remembering(), Limits(in_flight_bytes=bound)) as at:
        seen, stop = [0.0], threading.Event()

        def look() -> None:
            while not stop.wait(0.001):
                seen.append(at.in_flight())

        watcher = threading.Thread(target=look)
        watcher.start()
        statuses = []
        with ExitStack() as stack:
            open_ = [stack.enter_context(upload(at, b" ", length=MB)) for _ in range(clients)]
            until(lambda: at.refused("memory") == clients - 8, what="the refusals")
            for connection in open_:
                with_rest = threading.Thread(target=send_rest, args=(connection, b" " * (MB - 1)))
                with_rest.start()
                statuses.append(answer(connection).status)
                with_rest.join()
        stop.set()
        watcher.join()
        assert (statuses.count(202), statuses.count(503)) == (8, clients - 8)
        assert max(seen) == bound
        holds(at, 0)
        assert at.post("/v1/labels", SMALL).status_code == 202


def send_rest(connection: socket.socket, rest: bytes) -> None:
    try:
        connection.sendall(rest)
    except OSError:  # a refused client's connection is closed in the end
        return


@pytest.mark.parametrize("length", [MB, None])
def test_a_client_that_goes_away_leaves_nothing_behind(length: int | None) -> None:
    taker = Remembering()
    with served(taker, Limits(in_flight_bytes=MB)) as at:
        with upload(at, b" " * 400_000, length=length):
            until(lambda: at.in_flight() >= 400_000, what="the upload")
        holds(at, 0)
        assert at.refused("disconnected") == 1
        assert at.value("airbag_quality_batches_total", source="http", outcome="refused") == 1
    assert taker.taken == []


def test_what_waits_for_the_counting_thread_is_held() -> None:
    go_on = threading.Event()
    taker = Remembering(before=lambda: go_on.wait(30))
    with served(taker, Limits(in_flight_bytes=1 * MB)) as at, ExitStack() as stack:
        try:
            waiting = [stack.enter_context(upload(at, b" " * 400_000, length=400_000)) for _ in range(2)]
            holds(at, 800_000)
            assert at.post("/v1/labels", b" " * 400_000).status_code == 503
        finally:
            go_on.set()
        assert [answer(connection).status for connection in waiting] == [202, 202]
        holds(at, 0)


def test_what_a_body_becomes_counts_too() -> None:
    """A small compressed body is held as large as it says to become, while there is room for that."""
    go_on = threading.Event()
    taker = Remembering(before=lambda: go_on.wait(30))
    packed = gzip.compress(b" " * (6 * MB))
    with served(taker, Limits(in_flight_bytes=10 * MB)) as at, ExitStack() as stack:
        try:
            gzipped = {"length": len(packed), "extra": "content-encoding: gzip\r\n"}
            first = stack.enter_context(upload(at, packed, **gzipped))  # type: ignore[arg-type] # both are keywords
            holds(at, 6 * MB)
            refused = at.post("/v1/labels", packed, content_encoding="gzip")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert "connection" not in refused.headers  # its body was read
        finally:
            go_on.set()
        assert answer(first).status == 202
        holds(at, 0)
    assert taker.taken == [(Kind.LABELS, b" " * (6 * MB), "application/json")]


def test_a_bomb_is_refused_whatever_it_says_of_its_size() -> None:
    bomb = gzip.compress(b" " * (40 * MB))
    modest = bomb[:-4] + (1000).to_bytes(4, "little")
    taker = Remembering()
    with served(taker, Limits(decompressed_bytes=4 * MB)) as at:
        for body in (bomb, modest):
            refused = at.post("/v1/labels", body, content_encoding="gzip")
            assert refused.status_code == 400
            assert "4000000 bytes" in refused.json()["error"]
        holds(at, 0)
        assert at.post("/v1/labels", gzip.compress(SMALL), content_encoding="gzip").status_code == 202
    assert [body for _, body, _ in taker.taken] == [SMALL]


def test_a_refused_client_that_goes_on_sending_is_let_go_after_a_while() -> None:
    with served(Remembering(), Limits(body_bytes=1024)) as at, upload(at, b" ", length=100 * MB) as connection:
        refused = answer(connection)
        assert refused.status == 413
        assert b"1024 bytes" in refused.read()
        assert connection.recv(1) == b""


def test_a_client_that_sends_everything_before_it_listens_hears_why_it_was_refused() -> None:
    """Closing at once would break its connection while it sends, and it would hear of that only."""
    size = 32 * MB
    with served(Remembering(), Limits(body_bytes=1024)) as at, upload(at, b"", length=size) as connection:
        connection.sendall(b" " * size)
        assert answer(connection).status == 413


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_refused_body_is_forgotten_at_once(encoding: str) -> None:
    """Not when the garbage collector comes round: until then, what is refused would go beyond the bound."""

    def refuse() -> None:
        raise BadBatch("line 1: no")

    body = b" " * (4 * MB)
    sent = gzip.compress(body, 1) if encoding == "gzip" else body
    with served(Remembering(before=refuse), Limits(decompressed_bytes=5 * MB)) as at:
        bomb = gzip.compress(b" " * (6 * MB), 1)
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            for _ in range(5):
                assert at.post("/v1/labels", sent, content_encoding=encoding).status_code == 400
                assert at.post("/v1/labels", bomb, content_encoding="gzip").status_code == 400
            left, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gc.enable()
    assert left < 4 * MB
