"""The gRPC port itself: TLS, the health service, a socket, channel arguments."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from google.protobuf import text_format
from tensorflow_serving.apis import prediction_service_pb2_grpc

from airbag.errors import StartError
from airbag_demo.model_server.flags import parse
from airbag_demo.model_server.grpc_server import channel_arguments, serve
from airbag_demo.model_server.protos import message
from airbag_demo.model_server.status import StatusError
from tests.demo.model_server.client import predict_request, refusal
from tests.fakes import model_server, saved_models
from tests.fakes.model_server import ModelServer
from tests.fakes.ports import free_port
from tests.fakes.wait import until

SERVING, SERVICE_UNKNOWN = 1, 3


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clients must show a certificate of the same authority."""
    return _tls_file(authority, tmp_path_factory.mktemp("tls"), client_verify=True)


@pytest.fixture(scope="module")
def socket_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s") / "grpc"


@pytest.fixture(scope="module")
def server(tls_file: Path, socket_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """A server with mutual TLS, the health service, and a socket beside its port."""
    base = tmp_path_factory.mktemp("models") / "m"
    saved_models.add_model(base, 1)
    flags = (f"--ssl_config_file={tls_file}", f"--grpc_socket_path={socket_path}", "--enable_grpc_healthcheck_service")
    with model_server.running(*flags, base_path=base) as server:
        yield server


@pytest.fixture
def channel(server: ModelServer, authority: trustme.CA) -> Iterator[grpc.Channel]:
    """A channel whose client the server knows."""
    shown = authority.issue_cert("client@example.org")
    with grpc.secure_channel(server.grpc_address, _credentials(authority, shown), SERVER_NAME) as channel:
        yield channel


SERVER_NAME = (("grpc.ssl_target_name_override", "model-server.example.org"),)


def test_a_client_with_a_known_certificate_is_answered(channel: grpc.Channel) -> None:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    assert stub.Predict(predict_request("m"), timeout=20).model_spec.version.value == 1


def test_a_client_without_a_certificate_or_without_tls_is_not_served(
    server: ModelServer, authority: trustme.CA
) -> None:
    with grpc.secure_channel(server.grpc_address, _credentials(authority), SERVER_NAME) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert refusal(lambda: stub.Predict(predict_request("m"), timeout=1.5)).startswith(("UNAVAILABLE", "DEADLINE"))
    with grpc.insecure_channel(server.grpc_address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert refusal(lambda: stub.Predict(predict_request("m"), timeout=1.5)).startswith(("UNAVAILABLE", "DEADLINE"))


def test_the_socket_asks_for_the_same_certificates(
    server: ModelServer, authority: trustme.CA, socket_path: Path
) -> None:
    shown = authority.issue_cert("client@example.org")
    with grpc.secure_channel(f"unix:{socket_path}", _credentials(authority, shown), SERVER_NAME) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert stub.Predict(predict_request("m"), timeout=20).model_spec.version.value == 1


@pytest.mark.parametrize("service", ["", "ModelService", "PredictionService"])
def test_the_health_service_says_serving_under_short_names(channel: grpc.Channel, service: str) -> None:
    assert _health(channel, "unary_unary", "Check")(_asked(service), timeout=20).status == SERVING


def test_the_health_service_does_not_know_the_full_names(channel: grpc.Channel) -> None:
    name = "tensorflow.serving.PredictionService"
    assert refusal(lambda: _health(channel, "unary_unary", "Check")(_asked(name), timeout=20)) == (
        "NOT_FOUND: service name unknown"
    )
    watch = _health(channel, "unary_stream", "Watch")(_asked(name), timeout=20)
    assert next(watch).status == SERVICE_UNKNOWN
    watch.cancel()


def test_a_watch_stays_open_and_frees_its_thread_when_it_ends(channel: grpc.Channel) -> None:
    watches = [_health(channel, "unary_stream", "Watch")(_asked("ModelService")) for _ in range(8)]
    assert [next(watch).status for watch in watches] == [SERVING] * 8
    late: list[Any] = []
    listener = threading.Thread(target=lambda: late.extend(_rest_of(watches[0])))
    listener.start()
    listener.join(0.3)
    assert listener.is_alive()
    for watch in watches:
        watch.cancel()
    listener.join(10)
    assert late == []


def test_tls_without_client_certificates_needs_none_and_without_the_flag_there_is_no_health_service(
    authority: trustme.CA, tmp_path: Path
) -> None:
    flags = _flags(f"--ssl_config_file={_tls_file(authority, tmp_path, client_verify=False)}")
    server = serve(_NoApi(), flags)
    try:
        with grpc.secure_channel(f"127.0.0.1:{flags.port}", _credentials(authority), SERVER_NAME) as channel:
            check = _health(channel, "unary_unary", "Check")
            assert refusal(lambda: check(_asked(""), timeout=20)) == "UNIMPLEMENTED: Method not found!"
    finally:
        server.stop(None)


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("server_key: 7", StatusError, "Invalid protobuf file: '{file}'"),
        ('server_key: "k" server_cert: "c" client_verify: true', StartError,
         "{file}: client_verify needs a custom_ca to verify clients with"),
        ('server_key: "k" server_cert: "c"', StartError, "is it in use, or is the certificate broken?"),
    ],
)  # fmt: skip
def test_a_tls_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, error: type[Exception], said: str) -> None:
    file = tmp_path / "tls.config"
    file.write_text(text)
    with pytest.raises(error) as caught:
        serve(_NoApi(), _flags(f"--ssl_config_file={file}"))
    assert said.format(file=file) in str(caught.value)


def test_channel_arguments_are_numbers_or_text() -> None:
    assert channel_arguments("") == []
    assert channel_arguments("grpc.max_connection_age_ms=2000,grpc.user_agent=a=b,grpc.x=-1") == [
        ("grpc.max_connection_age_ms", 2000), ("grpc.user_agent", "a=b"), ("grpc.x", -1),
    ]  # fmt: skip
    with pytest.raises(StatusError, match="has no value"):
        channel_arguments("grpc.x")


def test_a_channel_argument_takes_effect() -> None:
    flags = _flags("--grpc_channel_arguments=grpc.max_connection_age_ms=200,grpc.max_connection_age_grace_ms=100")
    server = serve(_NoApi(), flags)
    states: list[grpc.ChannelConnectivity] = []
    try:
        with grpc.insecure_channel(f"127.0.0.1:{flags.port}") as channel:
            channel.subscribe(states.append, try_to_connect=True)
            until(lambda: grpc.ChannelConnectivity.READY in states, what="the connection")
            until(lambda: states[-1] is grpc.ChannelConnectivity.IDLE, what="the end of the connection")
    finally:
        server.stop(None)


class _NoApi:
    """Stands where the API would be in tests that never call it."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def _flags(*more: str) -> Any:
    return parse([f"--port={free_port()}", *more]).flags


def _tls_file(authority: trustme.CA, folder: Path, *, client_verify: bool) -> Path:
    pair = authority.issue_cert("model-server.example.org")
    config = message("SSLConfig")(
        server_key=pair.private_key_pem.bytes().decode(),
        server_cert=pair.cert_chain_pems[0].bytes().decode(),
        custom_ca=authority.cert_pem.bytes().decode(),
        client_verify=client_verify,
    )
    file = folder / "tls.config"
    file.write_text(text_format.MessageToString(config))
    return file


def _credentials(authority: trustme.CA, shown: trustme.LeafCert | None = None) -> grpc.ChannelCredentials:
    if shown is None:
        return grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    key, chain = shown.private_key_pem.bytes(), shown.cert_chain_pems[0].bytes()
    return grpc.ssl_channel_credentials(authority.cert_pem.bytes(), key, chain)


def _health(channel: grpc.Channel, kind: str, method: str) -> Any:
    return getattr(channel, kind)(
        f"/grpc.health.v1.Health/{method}",
        request_serializer=lambda asked: asked.SerializeToString(),
        response_deserializer=message("HealthCheckResponse").FromString,
    )


def _asked(service: str) -> Any:
    return message("HealthCheckRequest")(service=service)


def _rest_of(watch: Any) -> Iterator[Any]:
    try:
        yield from watch
    except grpc.RpcError:
        return
