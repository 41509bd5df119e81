"""gRPC with TLS: who is trusted, who is let in, what is said when somebody is not, and renewed certificates."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from airbag import tls_words
from airbag.errors import Unreachable
from airbag.http_config import TlsConfig
from airbag.serving.channel import SPEAKS_TLS
from airbag.serving.proto import tfs_pb2
from airbag.serving.values import Endpoint
from airbag.serving.wire import GET_MODEL_STATUS, Wire
from tests.airbag.certificates import EXPIRED, write_authority, write_pair
from tests.fakes.ports import free_port
from tests.fakes.wait import until

REQUEST = tfs_pb2.GetModelStatusRequest(model_spec=tfs_pb2.ModelSpec(name="digits"))


class _Echo(grpc.GenericRpcHandler):
    """Answers everything with nothing, after `held` is let go."""

    def __init__(self) -> None:
        self.held = threading.Event()
        self.held.set()
        self.calls = 0

    def service(self, _details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, _request: bytes, _context: Any) -> bytes:
        self.calls += 1
        self.held.wait(20)
        return b""


@dataclass(frozen=True)
class Server:
    """A gRPC server and where it listens."""

    address: str
    echo: _Echo


@contextmanager
def serving(pair: tuple[Path, Path] | None, client_ca: Path | None = None, port: int = 0) -> Iterator[Server]:
    echo, port = _Echo(), port or free_port()
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((echo,))
    if pair is None:
        server.add_insecure_port(f"127.0.0.1:{port}")
    else:
        keys = [(pair[1].read_bytes(), pair[0].read_bytes())]
        authority = client_ca.read_bytes() if client_ca else None
        server.add_secure_port(f"127.0.0.1:{port}", grpc.ssl_server_credentials(keys, authority, client_ca is not None))
    server.start()
    try:
        yield Server(f"127.0.0.1:{port}", echo)
    finally:
        server.stop(0)


@dataclass(frozen=True)
class Site:
    """A folder with an authority, `ca.crt`, and another that nobody trusts."""

    folder: Path
    authority: trustme.CA
    stranger: trustme.CA

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    def pair(self, name: str, **more: Any) -> tuple[Path, Path]:
        return write_pair(self.folder, more.pop("authority", self.authority), name, **more)

    def tls(self, pair: tuple[Path, Path] | None = None, **more: Any) -> TlsConfig:
        own = {"cert_file": pair[0], "key_file": pair[1]} if pair else {}
        return TlsConfig(**{"ca_file": self.ca, **own, **more})


@pytest.fixture
def site(tmp_path: Path) -> Site:
    authority = trustme.CA()
    write_authority(tmp_path, authority)
    return Site(tmp_path, authority, trustme.CA())


def ask(address: str, tls: TlsConfig | None, timeout: float = 10.0) -> None:
    with Wire(Endpoint(address, tls=tls)) as wire:
        wire.call(GET_MODEL_STATUS, REQUEST, timeout)


def refusal(address: str, tls: TlsConfig | None) -> str:
    with pytest.raises(Unreachable) as caught:
        ask(address, tls)
    assert caught.value.code == "UNAVAILABLE"
    return str(caught.value)


def test_both_sides_show_who_they_are(site: Site) -> None:
    with serving(site.pair("server"), site.ca) as server:
        ask(server.address, site.tls(site.pair("client")))
    assert server.echo.calls == 1


def test_a_server_of_another_authority_an_expired_one_and_one_of_another_name_are_told_apart(site: Site) -> None:
    tls = site.tls()
    with serving(site.pair("server", authority=site.stranger)) as server:
        assert tls_words.NOT_TRUSTED in refusal(server.address, tls)
    with serving(site.pair("server", ends=EXPIRED)) as server:
        assert tls_words.SERVER_EXPIRED in refusal(server.address, tls)
    with serving(site.pair("server", hosts=("tf-serving",))) as server:
        assert tls_words.WRONG_NAME in refusal(server.address, tls)
        ask(server.address, site.tls(server_name="tf-serving"))


def test_a_server_that_verifies_clients_says_whether_it_wants_a_certificate_or_another_one(site: Site) -> None:
    with serving(site.pair("server"), site.ca) as server:
        assert tls_words.NEEDS_CERTIFICATE in refusal(server.address, site.tls())
        stranger = site.pair("stranger", authority=site.stranger)
        assert tls_words.REFUSED_CERTIFICATE in refusal(server.address, site.tls(stranger))
        assert tls_words.REFUSED_CERTIFICATE in refusal(server.address, site.tls(site.pair("old", ends=EXPIRED)))
    assert server.echo.calls == 0


def test_who_speaks_tls_and_who_does_not_is_said_in_both_directions(site: Site) -> None:
    with serving(None) as server:
        assert tls_words.NO_TLS in refusal(server.address, site.tls())
    with serving(site.pair("server")) as server:
        assert SPEAKS_TLS in refusal(server.address, None)


def test_a_server_that_is_down_is_just_that(site: Site) -> None:
    told = refusal(f"127.0.0.1:{free_port()}", site.tls())
    assert "Connection refused" in told
    assert "certificate" not in told


def test_a_server_that_ends_every_connection_is_not_taken_for_one_with_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ending = threading.Event()

        def hang_up() -> None:
            while not ending.is_set():
                connection, _ = listener.accept()
                connection.close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        assert SPEAKS_TLS not in refusal(address, None)
        ending.set()
        socket.create_connection(listener.getsockname()[:2]).close()
        thread.join(10)


def test_a_renewed_certificate_is_used_without_a_restart_and_calls_under_way_go_on(site: Site) -> None:
    """The server lets in the new authority's clients only, once it was started anew."""
    pair = site.pair("client")
    server_pair, new = site.pair("server"), trustme.CA()
    new_ca, port = write_authority(site.folder, new, "new.crt"), free_port()
    with Wire(Endpoint(f"127.0.0.1:{port}", tls=site.tls(pair))) as wire:
        with serving(server_pair, site.ca, port) as server:
            wire.call(GET_MODEL_STATUS, REQUEST, 10)
            server.echo.held.clear()
            with ThreadPoolExecutor(1) as pool:
                slow = pool.submit(wire.call, GET_MODEL_STATUS, REQUEST, 30)
                until(lambda: server.echo.calls == 2, what="the slow call")
                site.pair("client", authority=new)
                time.sleep(1.1)  # files are looked at once a second
                threading.Timer(0.3, server.echo.held.set).start()
                with pytest.raises(Unreachable):
                    wire.call(GET_MODEL_STATUS, REQUEST, 10)  # on a new channel, with a certificate of the new one
                slow.result(30)
        with serving(server_pair, new_ca, port):
            until(lambda: _answers(wire), what="an answer to the renewed certificate")


def test_a_pair_that_is_half_renewed_leaves_the_old_one_in_force(site: Site) -> None:
    pair = site.pair("client")
    with serving(site.pair("server"), site.ca) as server, Wire(Endpoint(server.address, tls=site.tls(pair))) as wire:
        wire.call(GET_MODEL_STATUS, REQUEST, 10)
        other = site.pair("other")
        pair[0].write_bytes(other[0].read_bytes())
        time.sleep(1.1)  # files are looked at once a second
        wire.call(GET_MODEL_STATUS, REQUEST, 10)
        pair[1].write_bytes(other[1].read_bytes())
        time.sleep(1.1)
        wire.call(GET_MODEL_STATUS, REQUEST, 10)


def test_without_its_files_a_call_says_which_one_is_missing_and_works_once_they_are_there(site: Site) -> None:
    pair = site.pair("client")
    with serving(site.pair("server"), site.ca) as server, Wire(Endpoint(server.address, tls=site.tls(pair))) as wire:
        text = pair[0].read_bytes()
        pair[0].unlink()
        with pytest.raises(Unreachable, match="cert_file or key_file cannot be read"):
            wire.call(GET_MODEL_STATUS, REQUEST, 10)
        pair[0].write_bytes(text)
        wire.call(GET_MODEL_STATUS, REQUEST, 10)


def _answers(wire: Wire) -> bool:
    try:
        wire.call(GET_MODEL_STATUS, REQUEST, 5)
    except Unreachable:
        return False
    return True
