"""The file of --web.config.file: what is taken, and what each mistake is told."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from airbag.errors import ConfigError
from airbag.web_config import load_web_config
from tests.airbag.certificates import write_authority, write_pair

HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With server.crt, server.key and ca.crt; other.key belongs to somebody else."""
    authority = trustme.CA()
    write_pair(tmp_path, authority)
    write_pair(tmp_path, authority, "other")
    write_authority(tmp_path, authority)
    return tmp_path


def problems(folder: Path, text: str) -> list[str]:
    path = folder / "web.yml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_web_config(path)
    return [str(problem) for problem in caught.value.problems]


def tls(more: str = "", key: str = "server.key") -> str:
    return f"tls_server_config:\n  cert_file: server.crt\n  key_file: {key}\n  {more}\n"


def test_takes_a_file_as_exporter_toolkit_documents_it(folder: Path) -> None:
    path = folder / "web.yml"
    path.write_text(
        tls("""client_ca_file: ca.crt
  client_auth_type: RequireAndVerifyClientCert
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: true""")
        + f"""
http_server_config:
  http2: true
  headers: {{X-Frame-Options: deny, X-XSS-Protection: "", Strict-Transport-Security: max-age=3600}}
basic_auth_users: {{alice: {HASH}}}
rate_limit: {{interval: 100ms, burst: 5}}
"""
    )
    config = load_web_config(path)
    assert config.tls_server_config
    context = config.tls_server_config.context
    assert (context.verify_mode, context.minimum_version) == (ssl.CERT_REQUIRED, ssl.TLSVersion.TLSv1_2)
    older = [each["name"] for each in context.get_ciphers() if each["protocol"] == "TLSv1.2"]
    assert older == ["ECDHE-ECDSA-AES128-GCM-SHA256"]
    assert config.files == [folder / "server.crt", folder / "server.key", folder / "ca.crt"]
    assert config.http_server_config.headers == {"X-Frame-Options": "deny", "Strict-Transport-Security": "max-age=3600"}
    assert (config.basic_auth_users, config.rate_limit.interval) == ({"alice": HASH}, 0.1)


@pytest.mark.parametrize("text", ["", "basic_auth_users:\n", "rate_limit: {interval: 0, burst: 1}\n"])
def test_an_empty_file_or_section_asks_for_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "web.yml").write_text(text)
    config = load_web_config(tmp_path / "web.yml")
    assert (config.tls_server_config, config.basic_auth_users, config.rate_limit.interval) == (None, {}, 0)


def test_lists_all_problems_with_their_places_at_once(folder: Path) -> None:
    text = """
tls_server_config: {cert_file: gone.crt, key_file: server.key, min_version: TLS10, cert: inline, curve_preferences: []}
http_server_config: {headers: {X-Powered-By: us}}
basic_auth_users: {alice: hunter2, "b:b": 7}
rate_limit: {burst: 0}
basic_auth_user: {}
"""
    found = "\n".join(problems(folder, text))
    for each in (
        f"cert_file: should be a file that can be read (No such file or directory: {folder}/gone.crt), not 'gone.crt'",
        "tls_server_config.min_version: input should be 'TLS12' or 'TLS13', not 'TLS10'",
        "tls_server_config.cert: is a key of exporter-toolkit that Airbag does not have (put it into a file",
        "tls_server_config.curve_preferences: is a key of exporter-toolkit that Airbag does not have",
        "http_server_config.headers: 'X-Powered-By' should be one of Content-Security-Policy, ",
        "basic_auth_users: the value of 'alice' should be a bcrypt hash, such as $2y$10$ and 53 characters; "
        "the value of 'b:b' should be a bcrypt hash, such as $2y$10$ and 53 characters; the name 'b:b' should have no",
        "rate_limit.burst: input should be greater than or equal to 1, not 0",
        "basic_auth_user: is not a known key (did you mean `basic_auth_users`?)",
    ):
        assert each in found
    assert len(found.splitlines()) == 8


@pytest.mark.parametrize(
    "text",
    [
        "basic_auth_users: {alice: hunter2}",
        "basic_auth_users: {alice: 4711}",
        "basic_auth_users: hunter2 4711",
        "basic_auth_users: [hunter2, 4711]",
        "tls_server_config: {key: hunter2 4711}",
    ],
)
def test_no_message_shows_what_may_be_a_secret(tmp_path: Path, text: str) -> None:
    told = "\n".join(problems(tmp_path, text))
    assert "hunter2" not in told
    assert "4711" not in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (tls(key="other.key"), "tls_server_config: the key in key_file does not belong to the certificate in cert"),
        (tls(key="garbage"), "tls_server_config: cert_file and key_file should hold a PEM certificate and its key"),
        (tls(key="locked.key"), "tls_server_config: the key in key_file is protected by a password"),
        (tls("client_auth_type: RequireAndVerifyClientCert"),
         "tls_server_config: client_auth_type RequireAndVerifyClientCert needs a client_ca_file"),
        (tls("client_ca_file: ca.crt"), "tls_server_config: client_ca_file has no effect without client_auth_type"),
        (tls("{}client_ca_file: garbage".format("client_auth_type: VerifyClientCertIfGiven\n  ")),
         "tls_server_config: client_ca_file should hold PEM certificates"),
        (tls("client_auth_type: RequireAnyClientCert"),
         "tls_server_config.client_auth_type: takes certificates without verifying them, which Airbag does not do"),
        (tls("{}max_version: TLS12".format("min_version: TLS13\n  ")),
         "tls_server_config: min_version TLS13 is above max_version TLS12"),
        (tls("cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]"), "tls_server_config.cipher_suites[0]: should be one of TLS_"),
        (tls("client_allowed_sans: [a]"), "tls_server_config.client_allowed_sans: is a key of exporter-toolkit that"),
        ("tls_server_config: {}", "tls_server_config.cert_file: is missing"),
        ("http_server_config: {headers: {X-Frame-Options: never}}", "'X-Frame-Options' should be deny or sameorigin, "),
        ('http_server_config: {headers: {Content-Security-Policy: "a\\r\\nb: c"}}', "Policy' should be printable"),
        ("rate_limit: {interval: 5}", "rate_limit.interval: not a duration"),
        ("rate_limit: {interval: 5s, brust: 1}", "rate_limit.brust: is not a known key (did you mean `burst`?)"),
    ],
)  # fmt: skip
def test_each_mistake_has_its_message(folder: Path, text: str, told: str) -> None:
    (folder / "garbage").write_text("no PEM")
    key = serialization.load_pem_private_key((folder / "server.key").read_bytes(), None)
    (folder / "locked.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pw")
        )
    )
    assert told in "\n".join(problems(folder, text))


def test_a_missing_file_names_the_flag(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yml: cannot be read: No such file .*--web\.config\.file"):
        load_web_config(tmp_path / "gone.yml")


@pytest.mark.parametrize(
    "process", [["exporter", "serving"], ["exporter", "quality"], ["exporter", "host"], ["receiver"]]
)
def test_config_check_of_every_process_reads_it(tmp_path: Path, process: list[str]) -> None:
    (tmp_path / "web.yml").write_text("basic_auth_users: {alice: plain}")
    flags = [f"--web.config.file={tmp_path / 'web.yml'}", "--config.check"]
    done = subprocess.run(
        [sys.executable, "-m", "airbag", *process, *flags], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "basic_auth_users: the value of 'alice' should be a bcrypt hash" in done.stderr
