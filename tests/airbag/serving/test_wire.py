"""The channel against a server built from TensorFlow Serving's own stubs."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from airbag.errors import Garbled, Refused, Unreachable
from airbag.serving.proto import tfs_pb2
from airbag.serving.values import Endpoint
from airbag.serving.wire import GET_MODEL_STATUS, Wire
from tests.fakes.tfs_wire import FakeServing, Status, serving
from tests.fakes.wait import until

ASK = tfs_pb2.GetModelStatusRequest(model_spec=tfs_pb2.ModelSpec(name="m"))
TCP_USER_TIMEOUT = 18


@pytest.fixture
def fake() -> Iterator[FakeServing]:
    with serving() as running:
        running.models["m"] = {1: Status.AVAILABLE}
        yield running


def _answers(wire: Wire) -> bool:
    return bool(wire.call(GET_MODEL_STATUS, ASK, 1.0).model_version_status)


def test_a_call_brings_the_servers_answer(fake: FakeServing) -> None:
    with Wire(Endpoint(fake.address)) as wire:
        answer = wire.call(GET_MODEL_STATUS, ASK, 5.0)
    assert [(v.version, v.state) for v in answer.model_version_status] == [(1, Status.AVAILABLE)]


def test_a_slow_server_is_unreachable_once_the_deadline_is_over(fake: FakeServing) -> None:
    fake.hold.clear()
    started = time.monotonic()
    with Wire(Endpoint(fake.address)) as wire, pytest.raises(Unreachable, match=r"deadline 0\.2 s") as caught:
        wire.call(GET_MODEL_STATUS, ASK, 0.2)
    assert caught.value.code == "DEADLINE_EXCEEDED"
    assert time.monotonic() - started < 5
    fake.hold.set()


def test_nobody_listening_is_unreachable_without_waiting_for_the_deadline() -> None:
    with socket.socket() as free:  # bound but not listening: connections are refused
        free.bind(("127.0.0.1", 0))
        started = time.monotonic()
        with Wire(Endpoint(f"127.0.0.1:{free.getsockname()[1]}")) as wire, pytest.raises(Unreachable) as caught:
            wire.call(GET_MODEL_STATUS, ASK, 60.0)
    assert caught.value.code == "UNAVAILABLE"
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("code", [grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNIMPLEMENTED])
def test_a_no_is_refused_with_the_servers_code_and_words(fake: FakeServing, code: grpc.StatusCode) -> None:
    fake.refuse_with = (code, "not like this")
    with Wire(Endpoint(fake.address)) as wire, pytest.raises(Refused, match="not like this") as caught:
        wire.call(GET_MODEL_STATUS, ASK, 5.0)
    assert caught.value.code == code.name


def test_a_server_that_cancels_is_unreachable(fake: FakeServing) -> None:
    fake.refuse_with = (grpc.StatusCode.CANCELLED, "going away")
    with Wire(Endpoint(fake.address)) as wire, pytest.raises(Unreachable):
        wire.call(GET_MODEL_STATUS, ASK, 5.0)


def test_a_server_that_dies_during_the_call_is_unreachable(fake: FakeServing) -> None:
    fake.hold.clear()
    with Wire(Endpoint(fake.address)) as wire:
        killer = threading.Thread(target=lambda: (until(lambda: fake.requests), fake.die()))
        killer.start()
        with pytest.raises(Unreachable):
            wire.call(GET_MODEL_STATUS, ASK, 30.0)
        killer.join()


def test_a_server_that_comes_back_is_found_within_about_a_second(fake: FakeServing) -> None:
    with Wire(Endpoint(fake.address)) as wire:
        assert _answers(wire)
        fake.die()
        for _ in range(40):  # long enough for the back-off to reach its largest step
            with pytest.raises(Unreachable):
                wire.call(GET_MODEL_STATUS, ASK, 1.0)
            time.sleep(0.05)
        fake.start()
        started = time.monotonic()
        until(lambda: _answers(wire), timeout=20, what="an answer after the restart")
    assert time.monotonic() - started < 2.5


class _Nonsense(grpc.GenericRpcHandler):
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return grpc.unary_unary_rpc_method_handler(lambda *_: b"\xff\xff\xff")


def test_an_answer_that_is_no_message_is_garbled() -> None:
    server = grpc.server(ThreadPoolExecutor(1), handlers=[_Nonsense()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with Wire(Endpoint(f"127.0.0.1:{port}")) as wire, pytest.raises(Garbled, match="GetModelStatusResponse"):
            wire.call(GET_MODEL_STATUS, ASK, 5.0)
    finally:
        server.stop(0).wait()


def test_an_answer_larger_than_grpcs_default_limit_is_read(fake: FakeServing) -> None:
    fake.errors[("m", 1)] = (5, "x" * (5 << 20))
    with Wire(Endpoint(fake.address)) as wire:
        answer = wire.call(GET_MODEL_STATUS, ASK, 20.0)
    assert len(answer.model_version_status[0].status.error_message) == 5 << 20


def test_a_closed_wire_is_unreachable_and_may_be_closed_again(fake: FakeServing) -> None:
    wire = Wire(Endpoint(fake.address))
    wire.close()
    wire.close()
    with pytest.raises(Unreachable, match="closed"):
        wire.call(GET_MODEL_STATUS, ASK, 5.0)


def test_a_proxy_in_the_environment_is_not_used(fake: FakeServing, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with Wire(Endpoint(fake.address)) as wire:
        assert _answers(wire)


def _user_timeouts(port: int) -> set[int]:
    """TCP_USER_TIMEOUT in milliseconds of this process's connections to `port`."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            copy = socket.socket(fileno=os.dup(int(entry.name)))
        except OSError:
            continue
        with copy:
            try:
                if copy.getpeername()[1] == port:
                    found.add(copy.getsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT))
            except (OSError, IndexError):
                continue
    return found


def test_a_peer_that_vanished_without_a_word_is_given_up_after_two_seconds(fake: FakeServing) -> None:
    with Wire(Endpoint(fake.address)) as wire:
        assert _answers(wire)
        assert _user_timeouts(fake.port) == {2000}
