"""Children never outlive their parent, whatever happens to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from airbag.errors import StartError
from airbag_demo.processes import Processes, Program
from tests.fakes.wait import until

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable, "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
]  # fmt: skip


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_end_of_the_block_ends_every_child_also_a_deaf_one(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        processes.start(Program("sleeper", SLEEPER, lambda: True))
        processes.start(Program("deaf", STUBBORN, lambda: "deaf" in (tmp_path / "deaf.log").read_text()))
        processes.wait_ready()
        pids = [processes.pid("sleeper"), processes.pid("deaf")]
        assert all(alive(pid) for pid in pids)
        processes.stop(grace=0.3)
    assert not any(alive(pid) for pid in pids)


def test_an_exception_in_the_block_ends_them_too(tmp_path: Path) -> None:
    pids: list[int] = []

    def fail_with_a_child_running() -> None:
        with Processes(tmp_path) as processes:
            processes.start(Program("sleeper", SLEEPER, lambda: True))
            pids.append(processes.pid("sleeper"))
            raise KeyError

    with pytest.raises(KeyError):
        fail_with_a_child_running()
    assert not alive(pids[0])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a child's life to its parent's")
def test_a_parent_that_is_killed_takes_its_children_along(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from airbag_demo.processes import *\n"
        f"p = Processes(Path({str(tmp_path)!r})); p.start(Program('s', {SLEEPER!r}, lambda: True))\n"
        "print(p.pid('s'), flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        os.kill(parent.pid, signal.SIGKILL)
    until(lambda: not alive(pid), what="the end of the child")


def test_a_child_that_ends_by_itself_is_reported_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('the disk is full')"]
    with Processes(tmp_path) as processes:
        processes.start(Program("exporter", command, lambda: False))
        with pytest.raises(StartError, match=r"exporter ended with exit code 1\.\n  the disk is full"):
            processes.wait_ready()


def test_a_child_that_never_becomes_ready_is_named(tmp_path: Path) -> None:
    def refuse() -> bool:
        raise ConnectionRefusedError

    with Processes(tmp_path) as processes:
        processes.start(Program("silent", SLEEPER, refuse, ready_within=0.2))
        with pytest.raises(StartError, match="silent did not become ready"):
            processes.wait_ready()


def test_a_program_that_does_not_exist_is_one_clear_message(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes, pytest.raises(StartError, match=r"ghost cannot be started: .*no-such"):
        processes.start(Program("ghost", ["/no-such-program"], lambda: True))


def test_a_killed_child_can_be_started_again(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        processes.start(Program("sleeper", SLEEPER, lambda: True))
        first = processes.pid("sleeper")
        processes.kill("sleeper")
        assert not alive(first)
        processes.restart("sleeper")
        assert alive(processes.pid("sleeper"))
