"""TLS as a client meets it: versions, client certificates, and a certificate that is renewed."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
import trustme
from prometheus_client import generate_latest

from airbag.surface import Surface
from airbag.web_file import WebFile
from tests.airbag.certificates import write_authority, write_pair
from tests.airbag.http_process import GUARDED, Running, running
from tests.exporters.processes import assert_golden, shape

TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    """Its certificate lies in ca.crt, a server's in server.crt and server.key."""
    found = trustme.CA()
    write_pair(tmp_path, found)
    write_authority(tmp_path, found)
    return found


def get(process: Running, folder: Path, path: str = "/-/healthy", client: str = "") -> requests.Response:
    pair = (str(folder / f"{client}.crt"), str(folder / f"{client}.key")) if client else None
    url = process.url.replace("http:", "https:")
    return requests.get(url + path, verify=str(folder / "ca.crt"), cert=pair, timeout=10)


def shake(process: Running, folder: Path, version: ssl.TLSVersion) -> tuple[str | None, str | None, bytes]:
    """Version and protocol agreed on, and the certificate that was shown."""
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", process.port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as secured,
    ):
        return secured.version(), secured.selected_alpn_protocol(), secured.getpeercert(binary_form=True) or b""


def test_speaks_tls_only_and_the_newer_versions_only(tmp_path: Path, authority: trustme.CA) -> None:
    (tmp_path / "web.yml").write_text(TLS)
    with running(GUARDED, tmp_path) as process:
        assert get(process, tmp_path).text == "guarded is healthy.\n"
        assert shake(process, tmp_path, ssl.TLSVersion.TLSv1_2)[:2] == ("TLSv1.2", "http/1.1")
        assert shake(process, tmp_path, ssl.TLSVersion.TLSv1_3)[:2] == ("TLSv1.3", "http/1.1")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"), pytest.raises(ssl.SSLError):
            shake(process, tmp_path, ssl.TLSVersion.TLSv1_1)
        with pytest.raises(requests.ConnectionError):
            requests.get(process.url, timeout=10)


def test_a_raised_minimum_holds_from_the_next_connection_on(tmp_path: Path, authority: trustme.CA) -> None:
    (tmp_path / "web.yml").write_text(TLS)
    with running(GUARDED, tmp_path) as process:
        shake(process, tmp_path, ssl.TLSVersion.TLSv1_2)
        (tmp_path / "web.yml").write_text(TLS + "  min_version: TLS13\n")
        with pytest.raises(ssl.SSLError):
            shake(process, tmp_path, ssl.TLSVersion.TLSv1_2)


def test_a_renewed_certificate_is_shown_without_a_restart(tmp_path: Path, authority: trustme.CA) -> None:
    (tmp_path / "web.yml").write_text(TLS)
    with running(GUARDED, tmp_path) as process:
        first = shake(process, tmp_path, ssl.TLSVersion.TLSv1_3)[2]
        write_pair(tmp_path, authority)
        assert shake(process, tmp_path, ssl.TLSVersion.TLSv1_3)[2] != first


def test_a_broken_certificate_keeps_the_old_one_and_shows_in_metric_and_log(
    tmp_path: Path, authority: trustme.CA
) -> None:
    (tmp_path / "web.yml").write_text(TLS)
    with running(GUARDED, tmp_path) as process:
        first = shake(process, tmp_path, ssl.TLSVersion.TLSv1_3)[2]
        (tmp_path / "server.crt").write_text("half a file")
        assert shake(process, tmp_path, ssl.TLSVersion.TLSv1_3)[2] == first
        assert "airbag_config_last_reload_successful 0.0" in get(process, tmp_path, "/metrics").text
        assert "cert_file and key_file should hold a PEM certificate" in process.log.read_text()


@pytest.mark.parametrize("wanted", ["RequireAndVerifyClientCert", "VerifyClientCertIfGiven"])
def test_client_certificates_are_verified(tmp_path: Path, authority: trustme.CA, wanted: str) -> None:
    write_pair(tmp_path, authority, "client")
    write_pair(tmp_path, trustme.CA(), "stranger")
    (tmp_path / "web.yml").write_text(TLS + f"  client_ca_file: ca.crt\n  client_auth_type: {wanted}\n")
    with running(GUARDED, tmp_path) as process:
        assert get(process, tmp_path, client="client").ok
        with pytest.raises(requests.ConnectionError):
            get(process, tmp_path, client="stranger")
        if wanted == "VerifyClientCertIfGiven":
            assert get(process, tmp_path).ok
        else:
            with pytest.raises(requests.ConnectionError):
                get(process, tmp_path)
        assert get(process, tmp_path, client="client").ok


def test_when_the_certificate_ends_is_a_metric_that_follows_a_renewal(tmp_path: Path, authority: trustme.CA) -> None:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=20)
    write_pair(tmp_path, authority, ends=ends)
    (tmp_path / "web.yml").write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}\n")
    file = WebFile(tmp_path / "web.yml")
    surface = Surface("a process")
    surface.watch(file)
    name = "airbag_web_certificate_expiry_timestamp_seconds"
    assert surface.registry.get_sample_value(name) == ends.timestamp()
    write_pair(tmp_path, authority, ends=ends + timedelta(days=90))
    assert surface.registry.get_sample_value(name) == (ends + timedelta(days=90)).timestamp()
    page = generate_latest(surface.registry).decode().splitlines(keepends=True)
    assert_golden("certificate.prom", shape("".join(line for line in page if name in line)))
