"""§1.1, §2.1, §4: how the process starts, and refuses to. Each row needs a process of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import trustme

from tests.conformance.kit.rows import row, table
from tests.conformance.kit.server import Running, answers
from tests.conformance.kit.servers import Launcher
from tests.conformance.kit.watch import Call, stays
from tests.conformance.kit.wire import METRICS_PATH, Wire, parse_config, refusal
from tests.conformance.kit.world import BOTH, entry, labels
from tests.fakes import saved_models
from tests.fakes.wait import until

OWN = {"group": "own"}
QUICK = ("--max_num_load_retries=0", "--load_retry_interval_micros=100000")
STABLE = labels({"stable": 1})
Started = tuple[Running, Wire]


@row("4.5", **OWN)
def test_ports_stay_closed(launcher: Launcher) -> None:
    """a missing base_path: the start waits for ever with its ports closed; they open when a version has loaded"""
    with launcher.start(f"--model_base_path={launcher.base()}", wait=False) as (server, wire):
        stays(lambda: server.process.poll() is None, 4, "the process running")
        assert not answers(server.port)
        assert not answers(server.rest_port)
        saved_models.slow_load(launcher.base(), 1, 1.0)
        until(lambda: answers(server.port), timeout=4 * launcher.patience, what="the gRPC port")
        assert wire.states("m") == "1 AVAILABLE"
        until(lambda: answers(server.rest_port), timeout=launcher.patience, what="the REST port")


@row("4.5", **OWN)
def test_a_failing_model(launcher: Launcher) -> None:
    """a model that fails at the start ends the process with 255 and Failed to start server"""
    saved_models.without_graph(launcher.base(), 1)
    code, said = launcher.end(f"--model_base_path={launcher.base()}", *QUICK)
    assert code == 255
    assert "Failed to start server" in said
    assert "did not become available" in said


@row("4.5", **OWN)
def test_the_first_version_to_end_decides(launcher: Launcher) -> None:
    """without retries one bad version among several stops the start although a good one exists"""
    saved_models.slow_load(launcher.base(), 1, 4.0)
    saved_models.truncated(launcher.base(), 2)
    code, said = launcher.end(launcher.config({"m": BOTH}), *QUICK)
    assert code == 255
    assert "Failed to start server" in said


@row("4.5", **OWN)
def test_retries_keep_the_ports_closed(launcher: Launcher) -> None:
    """with retries the good version decides, but the ports stay closed until the bad one has used up its retries"""
    saved_models.add_model(launcher.base(), 1)
    saved_models.truncated(launcher.base(), 2)
    retries = ("--max_num_load_retries=2", "--load_retry_interval_micros=1500000")
    with launcher.start(launcher.config({"m": BOTH}), *retries, wait=False) as (server, wire):
        until(lambda: answers(server.port), timeout=4 * launcher.patience, what="the gRPC port")
        assert wire.states("m") == "2 END, 1 AVAILABLE"


@row("2.4", **OWN)
def test_a_label_without_the_flag(launcher: Launcher) -> None:
    """a label in the file ends the start with 255, and says which (0 Fact 14)"""
    saved_models.add_model(launcher.base(), 1)
    code, said = launcher.end(launcher.config({"m": STABLE}))
    assert code == 255
    assert "Failed to start server" in said
    assert "Request to assign label to version 1 of model m, which is not currently available for inference" in said


@row("2.4", **OWN)
def test_a_label_with_the_flag(launcher: Launcher) -> None:
    """with --allow_version_labels_for_unavailable_models the start takes labels"""
    saved_models.add_model(launcher.base(), 1)
    allowed = "--allow_version_labels_for_unavailable_models=true"
    with launcher.start(launcher.config({"m": STABLE}), allowed) as (_, wire):
        assert wire.serving("m", label="stable") == 1


@row("4.1", evidence="S", **OWN)
def test_batching_file_without_batching(launcher: Launcher) -> None:
    """--batching_parameters_file without --enable_batching is an error at the start"""
    code, _ = launcher.end(launcher.model(), "--batching_parameters_file={folder}/batching.config")
    assert code != 0


@pytest.fixture
def plain(launcher: Launcher) -> Iterator[Started]:
    """A server with an unknown flag, no monitoring file, no warm-up, and a version whose warm-up would fail."""
    saved_models.with_warmup(launcher.base(), 1, good=False)
    with launcher.start(launcher.model(), "--no_such_flag=1", "--enable_model_warmup=false", monitoring=None) as found:
        yield found


@row("4.1", **OWN)
def test_odd_flags(plain: Started) -> None:
    """an unknown flag prints `unknown argument` and the usage, and the server starts anyway"""
    server, wire = plain
    assert "unknown argument: --no_such_flag=1" in server.log()
    assert "usage: " in server.log()
    assert wire.states("m") == "1 AVAILABLE"


@row("1.1", **OWN)
def test_the_page_is_off_by_default(plain: Started) -> None:
    """without a monitoring file the page is 404 in HTML, not JSON; and without warm-up a bad record does no harm"""
    _, wire = plain
    reply = wire.http("GET", METRICS_PATH)
    assert reply.status == 404
    assert reply.headers["Content-Type"].startswith("text/html")
    assert wire.predict("m").model_spec.version.value == 1


@row("1.1", **OWN)
def test_a_broken_monitoring_file(launcher: Launcher) -> None:
    """a monitoring file that cannot be parsed: gRPC serves, the REST port never opens"""
    with launcher.start(launcher.model(), monitoring="prometheus_config { enabel: true }", wait=False) as (
        server,
        wire,
    ):
        until(lambda: answers(server.port), timeout=4 * launcher.patience, what="the gRPC port")
        assert wire.predict("m").model_spec.version.value == 1
        stays(lambda: not answers(server.rest_port), 2, "the REST port closed")
        assert server.process.poll() is None


@row("1.1", evidence="S", **OWN)
def test_one_port_for_both(launcher: Launcher) -> None:
    """the same port for gRPC and REST: REST is skipped, gRPC serves"""
    with launcher.start(launcher.model(), "--rest_api_port={port}", rest=False) as (_, wire):
        assert wire.predict("m").model_spec.version.value == 1


def _pem(blob: Any) -> str:
    return str(blob.bytes().decode()).replace("\n", "\\n")


@pytest.mark.parametrize(
    "verify",
    table(
        "4.3",
        {"ssl: gRPC speaks TLS, REST and the page do not": False, "ssl: client_verify asks for a certificate": True},
        evidence="S",
        **OWN,
    ),
)  # fmt: skip
def test_ssl(launcher: Launcher, verify: bool) -> None:
    authority = trustme.CA()
    server_cert, client_cert = authority.issue_cert("localhost", "127.0.0.1"), authority.issue_cert("client")
    (launcher.folder / "ssl.config").write_text(
        f'server_key: "{_pem(server_cert.private_key_pem)}"\n'
        f'server_cert: "{_pem(server_cert.cert_chain_pems[0])}"\n'
        f'custom_ca: "{_pem(authority.cert_pem)}"\nclient_verify: {str(verify).lower()}\n'
    )
    root = authority.cert_pem.bytes()
    key, chain = client_cert.private_key_pem.bytes(), client_cert.cert_chain_pems[0].bytes()
    ssl = f"--ssl_config_file={launcher.folder}/ssl.config"
    page = 'prometheus_config { enable: true path: "/some/page" }'
    with launcher.start(launcher.model(), ssl, monitoring=page) as (server, plain):
        with Wire(server.target, None, grpc.ssl_channel_credentials(root, key, chain)) as wire:
            assert wire.predict("m").model_spec.version.value == 1
        with Wire(server.target, None, grpc.ssl_channel_credentials(root)) as wire:
            if verify:
                assert refusal(lambda: wire.predict("m", timeout=20)).startswith("UNAVAILABLE")
            else:
                assert wire.predict("m").model_spec.version.value == 1
        assert refusal(lambda: plain.predict("m", timeout=20)).startswith("UNAVAILABLE")
        assert plain.http("GET", "/v1/models/m").status == 200
        assert plain.http("GET", "/some/page").body.startswith(b"# TYPE ")
        assert plain.http("GET", METRICS_PATH).status == 404


@row("2.4", **OWN)
def test_without_file_system_polls(launcher: Launcher) -> None:
    """with --file_system_poll_wait_seconds=0 a reload with a new model hangs, and nothing else changes any more"""
    saved_models.add_model(launcher.base("n"), 1)
    both = "\n".join(entry(name, str(launcher.base(name))) for name in ("m", "n"))
    with launcher.start(launcher.model(), "--file_system_poll_wait_seconds=0") as (_, wire):
        config = parse_config(f"model_config_list {{ {both} }}")
        assert refusal(lambda: wire.reload(config, timeout=5)).startswith("DEADLINE_EXCEEDED")
        saved_models.add_model(launcher.base("m"), 2)
        stays(lambda: wire.states("m") == "1 AVAILABLE", 2.5, "1 AVAILABLE")


@row("1.4", evidence="S", **OWN)
def test_the_thread_quota(launcher: Launcher) -> None:
    """beyond --grpc_max_threads calls get RESOURCE_EXHAUSTED Server Threadpool Exhausted, and are not counted"""
    saved_models.slow(launcher.base(), 1, 2.0)
    with launcher.start(launcher.model(), "--grpc_max_threads=4") as (_, wire):
        calls = [Call(lambda: _said(wire)) for _ in range(24)]
        said = [call.result(launcher.patience) for call in calls]
        refused = [one for one in said if one != "OK"]
        assert set(refused) == {"RESOURCE_EXHAUSTED: Server Threadpool Exhausted"}
        page = wire.page()
        assert page.value("serving:request_count", model_name="m", status="OK") == len(said) - len(refused)
        assert page.of("serving:request_count", status="RESOURCE_EXHAUSTED") == []
        assert not re.search("RESOURCE_EXHAUSTED", page.text)


def _said(wire: Wire) -> str:
    try:
        wire.predict("m")
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
    return "OK"
