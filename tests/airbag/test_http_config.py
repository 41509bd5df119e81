"""One form for every way out: what it refuses, what it shows to whom, and that what is renewed is used."""

from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests
import trustme

from airbag import tls_words
from airbag.clock import SystemClock
from airbag.config import parse
from airbag.errors import ConfigError, Refused, Unreachable
from airbag.http_config import HttpConfig, TlsConfig, load_http_config
from airbag.http_session import new_session, why
from airbag_exporters.quality.aggregate.replicas import Replicas
from airbag_exporters.serving.alerts.pusher import post
from tests.airbag.certificates import EXPIRED, write_authority, write_pair


@dataclass
class Server:
    """An HTTPS server that wants client certificates of `ca.crt`, and what it was shown."""

    port: int = 0
    seen: list[tuple[str, str]] = field(default_factory=list)

    def url(self, host: str = "127.0.0.1") -> str:
        return f"https://{host}:{self.port}/api/v2/alerts"


@contextmanager
def serving(folder: Path, name: str = "server", *, verify: bool = True) -> Iterator[Server]:
    found = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert isinstance(self.connection, ssl.SSLSocket)
            shown = dict(part for parts in (self.connection.getpeercert() or {}).get("subject", ()) for part in parts)  # type: ignore[misc, union-attr]  # as ssl gives it
            found.seen.append((str(shown.get("commonName", "")), self.headers.get("Authorization", "")))
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    if verify:
        context.load_verify_locations(folder / "ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED

    class Quiet(HTTPServer):
        def handle_error(self, *_: object) -> None:
            """Refused handshakes are what is tested."""

    with Quiet(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        found.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority = trustme.CA()
    write_authority(tmp_path, authority)
    write_authority(tmp_path, trustme.CA(), "other-ca.crt")
    for name in ("server", "client", "renewed"):
        write_pair(tmp_path, authority, name)
    write_pair(tmp_path, authority, "named", ("alertmanager",))
    write_pair(tmp_path, authority, "old", ends=EXPIRED)
    (tmp_path / "secret").write_text("correct horse\n")
    return tmp_path


def config(folder: Path, text: str) -> HttpConfig:
    return parse(text, HttpConfig, source="sample.yml", base=folder)


OWN = "tls_config: {ca_file: ca.crt, cert_file: client.crt, key_file: client.key}"


def by_requests(url: str, given: HttpConfig) -> int:
    with new_session(given) as session:
        return session.post(url, data=b"[]", timeout=10).status_code


def by_pusher(url: str, given: HttpConfig) -> int:
    return post(url, b"[]", given)


WAYS = pytest.mark.parametrize("send", [by_requests, by_pusher], ids=["requests", "pusher"])


@WAYS
def test_shows_its_certificate_and_its_secret_to_whom_it_trusts(folder: Path, send: object) -> None:
    assert callable(send)
    with serving(folder) as server:
        assert send(server.url(), config(folder, OWN)) == 200
        assert send(server.url(), config(folder, f"{OWN}\nauthorization: {{credentials_file: secret}}")) == 200
        basic = f"{OWN}\nbasic_auth: {{username: airbag, password_file: secret}}"
        assert send(server.url(), config(folder, basic)) == 200
    both = base64.b64encode(b"airbag:correct horse").decode()
    assert server.seen == [("client", ""), ("client", "Bearer correct horse"), ("client", f"Basic {both}")]


@WAYS
def test_a_server_of_another_name_is_trusted_under_server_name_only(folder: Path, send: object) -> None:
    assert callable(send)
    named = OWN.replace("}", ", server_name: alertmanager}")
    with serving(folder, "named") as server:
        assert send(server.url(), config(folder, named)) == 200
        with pytest.raises((OSError, requests.RequestException)) as caught:
            send(server.url(), config(folder, OWN))
        assert tls_words.tls_trouble(caught.value) == tls_words.WRONG_NAME
    with serving(folder) as server, pytest.raises((OSError, requests.RequestException)):
        send(server.url(), config(folder, named))
    assert server.seen == []


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        (OWN.replace("ca.crt", "other-ca.crt"), "server", (tls_words.NOT_TRUSTED,)),
        (OWN, "old", (tls_words.SERVER_EXPIRED,)),
        ("tls_config: {ca_file: ca.crt}", "server", (tls_words.NEEDS_CERTIFICATE, tls_words.CUT_WITHOUT)),
        ("tls_config: {ca_file: ca.crt, cert_file: old.crt, key_file: old.key}", "server",
         (tls_words.REFUSED_CERTIFICATE, tls_words.CUT_WITH)),
    ],
    ids=["untrusted", "expired", "none of ours", "ours expired"],
)  # fmt: skip
def test_what_is_wrong_is_said_in_words(folder: Path, text: str, name: str, said: tuple[str, ...]) -> None:
    with serving(folder, name) as server, new_session(config(folder, text)) as session:
        with pytest.raises(requests.RequestException) as caught:
            session.post(server.url(), data=b"[]", timeout=10)
        assert why(caught.value, session) in said
    assert server.seen == []


def test_what_was_renewed_is_used_at_the_next_connection_or_request(folder: Path) -> None:
    given = config(folder, f"{OWN}\nauthorization: {{credentials_file: secret}}")
    with serving(folder) as server, new_session(given) as session:
        session.headers["Connection"] = "close"
        session.post(server.url(), data=b"[]", timeout=10)
        for end in ("crt", "key"):
            (folder / f"client.{end}").write_bytes((folder / f"renewed.{end}").read_bytes())
        (folder / "secret").write_text("battery staple")
        session.post(server.url(), data=b"[]", timeout=10)
        (folder / "secret").unlink()
        session.post(server.url(), data=b"[]", timeout=10)
    assert server.seen == [
        ("client", "Bearer correct horse"), ("renewed", "Bearer battery staple"), ("renewed", "Bearer battery staple"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tls_config: {cert_file: a.crt}", "needs both `cert_file` and `key_file`, or neither"),
        ("tls_config: {insecure_skip_verify: true}", "tls_config.insecure_skip_verify: is not a known key"),
        ("basic_auth: {username: a, password: b}", "basic_auth.password: is not a known key"),
        ("authorization: {credentials: b}", "authorization.credentials: is not a known key"),
        ("authorization: {credentials_file: a}\nbasic_auth: {username: a, password_file: b}", "carries one of them"),
        ("tls_config: {server_name: 'a b'}", "should be a host name"),
    ],
    ids=["half a pair", "no verifying", "inline password", "inline token", "two secrets", "name"],
)
def test_what_makes_no_sense_is_refused_and_no_secret_may_stand_in_the_file(folder: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")):
        config(folder, text)


def test_all_files_that_cannot_be_used_are_told_at_once_by_their_path(folder: Path) -> None:
    (folder / "empty").write_text(" \n")
    (folder / "http.yml").write_text(
        "tls_config: {ca_file: gone.crt, cert_file: away.crt, key_file: client.key}\n"
        "basic_auth: {username: a, password_file: empty}\n"
    )
    with pytest.raises(ConfigError) as told:
        load_http_config(folder / "http.yml")
    for part in ("3 problems", "gone.crt", "away.crt", "basic_auth.password_file", "is empty"):
        assert part in str(told.value)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"cert_file": "client.crt", "key_file": "renewed.key"}, "does not belong to the certificate"),
        ({"cert_file": "old.crt", "key_file": "old.key"}, "has expired on"),
        ({"ca_file": "secret"}, "should hold PEM certificates"),
    ],
    ids=["other key", "expired", "no authority"],
)
def test_certificates_that_cannot_be_used_are_refused_at_the_start(
    folder: Path, more: dict[str, str], said: str
) -> None:
    tls = TlsConfig(**{key: folder / name for key, name in more.items()})
    [problem] = tls.problems("servings[0].grpc_tls")
    assert problem.path.startswith("servings[0].grpc_tls")
    assert said in problem.what


def test_the_aggregator_asks_its_replicas_in_the_same_way(folder: Path) -> None:
    """This one has no snapshot: that it says so means that we were let in."""
    with serving(folder) as server, Replicas(10.0, SystemClock()) as replicas:
        url = f"https://127.0.0.1:{server.port}"
        [answer] = replicas.ask([url], "a token", config(folder, OWN)).values()
        assert isinstance(answer, Refused)
        assert answer.code == "501"
        [answer] = replicas.ask([url], "a token", config(folder, OWN.replace("ca.crt", "other-ca.crt"))).values()
        assert isinstance(answer, Unreachable)
        assert tls_words.NOT_TRUSTED in str(answer)
