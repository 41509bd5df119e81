"""The common HTTP surface, in a real process on a real port."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from airbag.errors import StartError
from airbag.http import Address, bind
from tests.fakes.ports import free_port
from tests.fakes.wait import until

PROCESS = """
import sys
from pathlib import Path
from starlette.applications import Starlette
from airbag import log
from airbag.errors import ConfigError, Problem
from airbag.http import Address, Surface, Web, serve

folder = Path(sys.argv[1])

def reload():
    if (folder / "broken").exists():
        raise ConfigError("sample.yml", [Problem("a.b", "is wrong", "mend it")])
    (folder / "reloaded").touch()

log.setup()
surface = Surface("a <test> process", reload=reload, links=[("/x", "an <x>")],
                  not_ready=lambda: "no data yet" if (folder / "unready").exists() else None)
serve(Starlette(routes=surface.routes()), surface, Web(Address.parse(sys.argv[2])))
"""


@contextmanager
def running(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = free_port()
    with (folder / "log").open("wb") as output:
        child = subprocess.Popen([sys.executable, "-c", PROCESS, str(folder), f":{port}"], stderr=output)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: requests.get(url + "/-/healthy", timeout=1).ok, what="the process answers")
        yield url, child
    finally:
        child.kill()
        child.wait()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with running(tmp_path) as found:
        yield found


def reload_successful(url: str) -> str:
    lines = requests.get(url + "/metrics", timeout=2).text.splitlines()
    return next(line.split()[1] for line in lines if line.startswith("airbag_config_last_reload_successful "))


def test_the_landing_page_links_what_there_is_and_escapes_names(process: tuple[str, object]) -> None:
    page = requests.get(process[0], timeout=2).text
    assert "a &lt;test&gt; process" in page
    assert '<a href="/metrics">' in page
    assert '<a href="/x">an &lt;x&gt;</a>' in page


def test_metrics_are_negotiated_between_text_and_openmetrics(process: tuple[str, object]) -> None:
    plain = requests.get(process[0] + "/metrics", timeout=2)
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "airbag_build_info{" in plain.text
    assert "process_resident_memory_bytes" in plain.text
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    assert requests.get(process[0] + "/metrics", headers=accept, timeout=2).text.endswith("# EOF\n")


def test_readiness_says_why_not(process: tuple[str, object], tmp_path: Path) -> None:
    assert requests.get(process[0] + "/-/ready", timeout=2).status_code == 200
    (tmp_path / "unready").touch()
    answer = requests.get(process[0] + "/-/ready", timeout=2)
    assert (answer.status_code, answer.text) == (503, "a <test> process is not ready: no data yet\n")


def test_a_refused_reload_is_told_and_shown_in_a_metric(process: tuple[str, object], tmp_path: Path) -> None:
    assert requests.get(process[0] + "/-/reload", timeout=2).status_code == 405
    (tmp_path / "broken").touch()
    answer = requests.post(process[0] + "/-/reload", timeout=2)
    assert answer.status_code == 500
    assert "a.b: is wrong (mend it)" in answer.text
    assert reload_successful(process[0]) == "0.0"
    (tmp_path / "broken").unlink()
    assert requests.post(process[0] + "/-/reload", timeout=2).status_code == 200
    assert reload_successful(process[0]) == "1.0"


def test_hangup_reloads_and_terminate_ends_cleanly(
    process: tuple[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    process[1].send_signal(signal.SIGHUP)
    until((tmp_path / "reloaded").exists, what="the reload")
    process[1].send_signal(signal.SIGTERM)
    assert process[1].wait(timeout=10) == 0


def test_a_busy_address_is_one_clear_message() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(StartError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*--web\.listen-address"):
            bind(Address("127.0.0.1", port))


def test_answers_are_not_held_back_for_an_acknowledgement() -> None:
    """asyncio turns Nagle's delay off only for sockets that name their protocol; without, each answer takes 40 ms."""
    with bind(Address("127.0.0.1", 0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":9810", Address("127.0.0.1", 9810)),
        ("0.0.0.0:80", Address("0.0.0.0", 80)),  # noqa: S104 - only parsed
        ("[::1]:9810", Address("::1", 9810)),
        ("host.name:1", Address("host.name", 1)),
    ],
)
def test_addresses_are_spelled_as_in_exporter_toolkit(text: str, address: Address) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize("text", ["9810", "host", "host:", "a:b:1", ":99999", "[::1]", ""])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        Address.parse(text)
