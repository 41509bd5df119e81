"""`airbag healthcheck` says whether a process of this machine answers, with TLS and without, and starts quickly."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import bcrypt
import pytest
import trustme

from tests.airbag.certificates import write_authority, write_pair
from tests.airbag.http_process import GUARDED, running
from tests.fakes.ports import free_port

TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"


def check(address: object, *more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "airbag", "healthcheck", f"--web.listen-address={address}", *map(str, more)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def says_once(answer: bytes) -> int:
    """A server that says these bytes to the first who connects; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(4096)
            connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return int(listener.getsockname()[1])


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", ""])  # noqa: S104 - as processes in containers are told to
def test_a_process_that_answers_is_healthy_however_its_address_was_written(tmp_path: Path, host: str) -> None:
    (tmp_path / "web.yml").write_text("")
    with running(GUARDED, tmp_path) as process:
        done = check(f"{host}:{process.port}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("/-/healthy answers 200\n")


def test_a_process_that_is_gone_is_not() -> None:
    done = check(f":{free_port()}")
    assert done.returncode == 1
    assert "does not answer: [Errno 111] Connection refused" in done.stderr


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(b"HTTP/1.1 500 Oh\r\n\r\n", "answers 500", id="an error"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", "no answer in HTTP", id="another protocol"),
        pytest.param(b"", "no answer in HTTP", id="nothing"),
    ],
)
def test_an_answer_that_is_none_is_not_health(answer: bytes, said: str) -> None:
    done = check(f":{says_once(answer)}")
    assert done.returncode == 1
    assert said in done.stderr


def test_a_process_that_hangs_is_unhealthy_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = check(f":{listener.getsockname()[1]}", "--timeout=0.2")
    assert done.returncode == 1
    assert "timed out" in done.stderr


@pytest.mark.parametrize("client_auth", ["", "RequireAndVerifyClientCert"])
@pytest.mark.parametrize("authority_of_clients", ["the server's", "another"])
def test_tls_needs_no_more_than_the_web_configuration(
    tmp_path: Path, client_auth: str, authority_of_clients: str
) -> None:
    authority = trustme.CA()
    write_pair(tmp_path, authority)
    write_authority(tmp_path, authority if authority_of_clients == "the server's" else trustme.CA())
    more = f"  client_ca_file: ca.crt\n  client_auth_type: {client_auth}\n" if client_auth else ""
    (tmp_path / "web.yml").write_text(TLS + more)
    with running(GUARDED, tmp_path) as process:
        assert check(f":{process.port}", f"--web.config.file={tmp_path / 'web.yml'}").returncode == 0
        assert check(f":{process.port}").returncode == 1


def test_a_process_that_asks_for_a_password_answers(tmp_path: Path) -> None:
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{someone: {hashed}}}\n")
    with running(GUARDED, tmp_path) as process:
        done = check(f":{process.port}", f"--web.config.file={tmp_path / 'web.yml'}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "document", ["tls_server_config: [", "tls_server_config: {cert_file: no.crt, key_file: no.key}"]
)
def test_a_web_configuration_that_cannot_be_read_is_not_health(tmp_path: Path, document: str) -> None:
    (tmp_path / "web.yml").write_text(document)
    done = check(":1", f"--web.config.file={tmp_path / 'web.yml'}")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_an_address_that_is_none_is_wrong_usage() -> None:
    assert check("nowhere").returncode == 2


def test_it_imports_nothing_heavy() -> None:
    program = (
        "import sys, airbag.cli, airbag.healthcheck_command; "
        "print(sorted({'uvicorn', 'starlette', 'pydantic', 'numpy', 'grpc', 'yaml', 'requests'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
