"""`airbag up`: starts, says where everything is, and leaves nothing behind; and says what is wrong when it cannot."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from airbag_demo.ports import STANDARD
from airbag_demo.shipped import SHIPPED
from tests.fakes.wait import until

ROOT = Path(__file__).parents[2]
UP = [sys.executable, "-m", "airbag", "up"]


def up(*flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*UP, *flags], capture_output=True, text=True, timeout=120, check=False, env=os.environ | environment
    )


def children(pid: int) -> list[int]:
    return [int(number) for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def copy_of_the_checkout(target: Path) -> Path:
    """The files that `airbag up` reads, in a folder where a test may spoil them."""
    for shipped in SHIPPED:
        source = ROOT / shipped
        (target / shipped).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target / shipped)
    (target / ".cache").symlink_to(ROOT / ".cache")
    return target


@contextmanager
def running_up(output: Path, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    def hear_ctrl_c() -> None:
        """As on a terminal: a test run in the background of a script has it ignored, and children inherit that."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with output.open("wb") as file:
        child = subprocess.Popen([*UP, *flags], stdout=file, stderr=file, preexec_fn=hear_ctrl_c)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


@pytest.mark.story
@pytest.mark.usefixtures("releases")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_up_serves_until_it_is_stopped_and_leaves_no_process_behind(stop: signal.Signals, tmp_path: Path) -> None:
    output = tmp_path / "output"
    flags = ("--root", str(ROOT), "--run.dir", str(tmp_path / "run"), "--ports", "free")
    with running_up(output, *flags) as child:
        until(lambda: "Ctrl-C stops everything" in output.read_text(), timeout=200, what="the stack is up")
        addresses = dict(line.split(maxsplit=1) for line in output.read_text().splitlines() if " http://" in line)
        query = {"query": "sum(increase(airbag_tfs_requests_total{model_version='2',status='OK'}[10s])) > 10"}
        until(
            lambda: requests.get(addresses["prometheus"] + "/api/v1/query", query, timeout=2).json()["data"]["result"],
            timeout=30, what="traffic attributed to version 2 in Prometheus",
        )  # fmt: skip
        started = children(child.pid)
        assert len(started) >= 7
        with_tensorflow = [
            pid for pid in (child.pid, *started) if "tensorflow" in Path(f"/proc/{pid}/maps").read_text()
        ]
        commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in with_tensorflow]
        assert ["model-server" in command for command in commands] == [True], "only the model server may load it"
        child.send_signal(stop)
        assert child.wait(timeout=30) == 0
        assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
        assert "no process is left behind" in output.read_text()


@pytest.mark.usefixtures("releases")
def test_a_busy_port_is_one_clear_message(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", STANDARD["receiver"]))
        holder.listen()
        done = up("--root", str(ROOT), "--run.dir", str(tmp_path / "run"))
    assert done.returncode == 1
    assert f"{STANDARD['receiver']} (receiver)" in done.stderr
    assert "--ports free" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("releases")
def test_a_missing_binary_is_one_clear_message_that_says_how_to_get_it(tmp_path: Path) -> None:
    done = up("--root", str(ROOT), "--run.dir", str(tmp_path / "run"), "--ports", "free", PATH=str(tmp_path))
    assert done.returncode == 1
    assert "not found on PATH: prometheus, alertmanager" in done.stderr
    assert "brew install prometheus alertmanager" in done.stderr


@pytest.mark.usefixtures("releases")
def test_a_bad_configuration_is_one_clear_message_with_every_problem(tmp_path: Path) -> None:
    root = copy_of_the_checkout(tmp_path / "checkout")
    exporters = root / "exporters/exporters.yml"
    spoilt = exporters.read_text().replace("accuracy_min:", "acuracy_min:").replace("label_ttl: 24h", "label_ttl: 1")
    exporters.write_text(spoilt)
    done = up("--root", str(root), "--run.dir", str(tmp_path / "run"), "--ports", "free")
    assert done.returncode == 1
    assert "did you mean `accuracy_min`?" in done.stderr
    assert "quality.label_ttl: not a duration" in done.stderr
    assert not (tmp_path / "run" / "prometheus" / "wal").exists(), "something was started all the same"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount the small disk that this test fills")
@pytest.mark.usefixtures("releases")
def test_a_full_disk_is_one_clear_message(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)
    try:
        done = up("--root", str(ROOT), "--run.dir", str(disk / "run"), "--ports", "free")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert done.returncode == 1
    assert "MiB are free" in done.stderr
    assert "--run.dir" in done.stderr


def test_a_folder_that_is_no_checkout_is_named(tmp_path: Path) -> None:
    done = up("--root", str(tmp_path))
    assert done.returncode == 1
    assert f"{tmp_path} is no checkout of Airbag" in done.stderr
