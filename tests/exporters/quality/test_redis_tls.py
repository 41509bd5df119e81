"""The join in a Redis that speaks TLS and wants client certificates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from airbag.config import parse
from airbag.errors import ConfigError, Unreachable
from airbag_exporters.config import RedisLedger, Streams
from airbag_exporters.quality.ledger.redis_link import Link
from airbag_exporters.quality.ledger.values import LedgerUnavailable
from airbag_exporters.quality.sources.group import Group
from tests.airbag.certificates import write_authority, write_pair
from tests.fakes.ports import free_port
from tests.fakes.redis_server import RedisServer

TLS = "tls_config: {ca_file: ca.crt, cert_file: client.crt, key_file: client.key}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    write_authority(path, authority)
    for name in ("server", "client"):
        write_pair(path, authority, name)
    write_pair(path, trustme.CA(), "stranger")
    return path


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    """Of a Redis that is reached in plain text by the test alone."""
    port = free_port()
    server = RedisServer(
        folder / "data", "--tls-port", str(port), "--tls-cert-file", str(folder / "server.crt"), "--tls-key-file",
        str(folder / "server.key"), "--tls-ca-cert-file", str(folder / "ca.crt"), "--tls-auth-clients", "yes",
    )  # fmt: skip
    server.start()
    yield port
    server.stop()


def ledger(folder: Path, text: str) -> RedisLedger:
    return parse(text, RedisLedger, source="sample.yml", base=folder)


def test_ledger_and_streams_come_in_with_a_certificate(folder: Path, port: int) -> None:
    link = Link(ledger(folder, f"url: rediss://127.0.0.1:{port}/0\n{TLS}"))
    try:
        assert link.ask("PING") in (b"PONG", True)
    finally:
        link.close()
    streams = parse(f"url: rediss://127.0.0.1:{port}/0\n{TLS}", Streams, source="sample.yml", base=folder)
    group = Group(streams, "one")
    try:
        group.create()
        assert group.state()[0] == 0
    finally:
        group.close()


@pytest.mark.parametrize(
    "text",
    [
        "url: rediss://127.0.0.1:{port}/0\ntls_config: {ca_file: ca.crt}",
        "url: rediss://127.0.0.1:{port}/0\n" + TLS.replace("client", "stranger"),
        "url: rediss://127.0.0.1:{port}/0\ntls_config: {cert_file: client.crt, key_file: client.key}",
        "url: rediss://127.0.0.2:{port}/0\n" + TLS,
        "url: redis://127.0.0.1:{port}/0",
    ],
    ids=["no certificate", "stranger's", "not trusted", "another name", "plain"],
)
def test_nobody_else_does(folder: Path, port: int, text: str) -> None:
    given = text.replace("{port}", str(port))
    link = Link(ledger(folder, given))
    try:
        with pytest.raises(LedgerUnavailable):
            link.ask("PING")
    finally:
        link.close()
    group = Group(parse(given, Streams, source="sample.yml", base=folder), "one")
    try:
        with pytest.raises(Unreachable):
            group.create()
    finally:
        group.close()


def test_what_redis_cannot_do_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="an `url` without TLS"):
        ledger(folder, f"url: redis://127.0.0.1:1/0\n{TLS}")
    with pytest.raises(ConfigError, match="server_name"):
        ledger(folder, "url: rediss://127.0.0.1:1/0\ntls_config: {server_name: redis}")
