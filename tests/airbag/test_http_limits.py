"""Connections that are slow, idle or send too much end; the others do not notice."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from airbag.http import Address, bind
from airbag.http_limits import BoundedProtocol, calm
from tests.fakes.wait import until

GET = b"GET /length HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /length HTTP/1.1\r\nHost: a\r\n"


class Quick(BoundedProtocol):
    head_seconds = 0.5
    body_seconds = 1.0


class Server(uvicorn.Server):
    def install_signal_handlers(self) -> None:
        """Signals belong to the test run."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(Quick) as found:
        yield found


@pytest.fixture(scope="module")
def patient_port() -> Iterator[int]:
    """With the times that hold in production, so that only the size can end a connection soon."""
    with serving(BoundedProtocol) as found:
        yield found


@contextmanager
def serving(protocol: type[BoundedProtocol]) -> Iterator[int]:
    async def length(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"{len(await request.body())} bytes")

    listener = bind(Address("127.0.0.1", 0))
    app = calm(Starlette(routes=[Route("/length", length, methods=["GET", "POST"])]))
    config = uvicorn.Config(app, http=protocol, log_config=None, ws="none", timeout_keep_alive=30)
    server = Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    until(lambda: server.started, what="the server")
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()
    listener.close()


def connect(port: int) -> closing[socket.socket]:
    return closing(socket.create_connection(("127.0.0.1", port), timeout=20))


def answer(client: socket.socket) -> bytes:
    """The body of the next answer."""
    received = b""
    while not received.endswith(b" bytes"):
        received += client.recv(65536)
    return received.partition(b"\r\n\r\n")[2]


def until_closed(client: socket.socket) -> bytes:
    """All that comes until the server ends the connection; fails when it does not."""
    received = b""
    try:
        while part := client.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return received


def trickle(client: socket.socket, part: bytes, seconds: float = 20.0) -> float:
    """Send `part` again and again; seconds until the server had enough."""
    begun = time.monotonic()
    client.settimeout(0.05)
    while time.monotonic() - begun < seconds:
        try:
            client.sendall(part)
            if client.recv(65536) == b"":
                return time.monotonic() - begun
        except TimeoutError:
            continue
        except OSError:
            return time.monotonic() - begun
    pytest.fail("the connection is still open")


def test_a_connection_that_says_nothing_is_closed(port: int) -> None:
    with connect(port) as client:
        assert until_closed(client) == b""


def test_headers_that_come_byte_by_byte_are_cut_off_in_time(port: int) -> None:
    with connect(port) as client:
        client.sendall(GET + b"X: ")
        assert trickle(client, b"a") < 10


def test_the_second_request_of_a_connection_has_no_more_time_than_the_first(port: int) -> None:
    with connect(port) as client:
        client.sendall(GET + b"\r\n")
        assert answer(client) == b"0 bytes"
        assert trickle(client, b"\r\n") < 10


def test_a_body_that_does_not_end_is_cut_off_in_time_and_without_a_traceback(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(port) as client:
        client.sendall(POST + b"Content-Length: 100000\r\n\r\n")
        assert trickle(client, b"a") < 10
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_connection_may_rest_between_requests(port: int) -> None:
    with connect(port) as client:
        for _ in range(2):
            client.sendall(GET + b"\r\n")
            assert answer(client) == b"0 bytes"
            client.settimeout(1.0)  # longer than a head and a body may take
            with pytest.raises(TimeoutError):
                client.recv(1)
            client.settimeout(20)


@pytest.mark.parametrize(
    "head",
    [
        GET + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
        GET + b"X: a\r\n" * 20_000 + b"\r\n",
        GET + b"X: " + b"a" * 1_000_000,
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: " + b"a" * 1_000_000,
    ],
    ids=["one header", "many headers", "a header without end", "the address", "a trailer without end"],
)
def test_a_head_of_more_than_64_kib_is_refused(patient_port: int, head: bytes) -> None:
    with connect(patient_port) as client:
        client.settimeout(BoundedProtocol.head_seconds - 1)
        sender = threading.Thread(target=_send, args=(client, head))
        sender.start()
        answer = until_closed(client)
        sender.join()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


def _send(client: socket.socket, data: bytes) -> None:
    try:
        client.sendall(data)
    except OSError:
        return  # refused before the end


def test_a_large_body_and_many_requests_on_one_connection_are_no_large_head(port: int) -> None:
    with connect(port) as client:
        client.sendall(POST + b"Content-Length: 3000000\r\n\r\n" + b"a" * 3_000_000)
        assert answer(client) == b"3000000 bytes"
        for _ in range(300):
            client.sendall(GET + b"X: " + b"a" * 1000 + b"\r\n\r\n")
            assert answer(client) == b"0 bytes"
