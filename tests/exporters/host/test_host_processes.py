"""A server's process, followed through its life: what it takes, its end, and the next one in its place."""

from __future__ import annotations

import logging
import os
import resource
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest

from airbag.clock import SystemClock
from airbag_exporters.config import Host, WatchedProcess
from airbag_exporters.host.page import HostPage
from tests.exporters.host.server import Server, all_of, server, unlimited, value
from tests.fakes.binaries import ROOT

CGROUPS = Path("/sys/fs/cgroup")
GONE = ("process_resident_memory_bytes", "process_threads", "process_open_descriptors", "process_start_time_seconds",
        "process_resident_memory_max_bytes")  # fmt: skip


@pytest.fixture
def mark() -> str:
    """An argument that no other process of this machine has."""
    return f"--mark={uuid.uuid4()}"


def cpu(page: HostPage) -> float:
    return sum(value(page, "process_cpu_seconds_total", mode=mode) or 0.0 for mode in ("user", "system"))


def started(child: Server) -> object:
    return pytest.approx(psutil.Process(child.pid).create_time(), rel=0, abs=0.02)


def watching(**how: object) -> HostPage:
    entry = WatchedProcess.model_validate({"serving": "main", "target": "a", **how})
    return HostPage(Host(processes=(entry,)), CGROUPS, lambda: None, SystemClock())


def test_it_shows_what_the_process_takes(mark: str) -> None:
    page = watching(argument=mark)
    with server(mark) as child:
        assert value(page, "process_up", serving="main", target="a") == 1
        descriptors, threads, resident = all_of(
            page, ["process_open_descriptors", "process_threads", "process_resident_memory_bytes"]
        )
        assert descriptors is not None
        assert threads is not None
        assert resident is not None
        child.tell("open 7")
        child.tell("start 5")
        child.tell(f"grow {64 << 20}")
        assert value(page, "process_open_descriptors") == descriptors + 7
        assert value(page, "process_threads") == threads + 5
        assert (value(page, "process_resident_memory_bytes") or 0) > resident + (60 << 20)
        assert value(page, "process_max_descriptors") == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        assert value(page, "process_start_time_seconds") == started(child)
        child.tell("compute 0.3")
        assert cpu(page) >= 0.25


def test_a_killed_server_is_down_and_keeps_only_its_counters(mark: str) -> None:
    page = watching(argument=mark)
    with server(mark) as child:
        assert value(page, "process_up") == 1
        child.die()
        assert value(page, "process_up") == 0
        assert all_of(page, GONE) == [None] * len(GONE)
        assert value(page, "process_restarts_total") == 0
        assert value(page, "process_cpu_seconds_total", mode="user") is not None


def test_a_server_whose_end_nobody_noticed_is_down(mark: str) -> None:
    page = watching(argument=mark)
    with server(mark) as child:
        assert value(page, "process_up") == 1
        child.die(reaped=False)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert value(page, "process_up") == 0
        with server(mark):
            assert value(page, "process_up") == 1
            assert value(page, "process_restarts_total") == 1


def test_another_process_in_its_place_is_a_restart_and_cpu_time_goes_on(mark: str) -> None:
    page = watching(argument=mark)
    with server(mark) as child:
        child.tell("compute 0.5")
        before, began = cpu(page), value(page, "process_start_time_seconds")
        assert before >= 0.45
        assert began is not None
    with server(mark) as child:
        assert cpu(page) >= before
        assert (value(page, "process_start_time_seconds") or 0) > began
        assert value(page, "process_restarts_total") == 1
        child.tell("compute 0.6")
        assert cpu(page) >= before + 0.5
    assert value(page, "process_restarts_total") == 1


def test_before_the_server_was_ever_seen_there_is_no_restart(mark: str) -> None:
    page = watching(argument=mark)
    assert (value(page, "process_up"), value(page, "process_restarts_total")) == (0, 0)
    assert value(page, "process_cpu_seconds_total", mode="system") == 0
    with server(mark):
        assert (value(page, "process_up"), value(page, "process_restarts_total")) == (1, 0)


def test_the_oldest_of_several_is_shown_and_said_once(mark: str, caplog: pytest.LogCaptureFixture) -> None:
    page = watching(argument=mark)
    with server(mark) as first, server(mark) as second:
        for _ in range(2):
            assert value(page, "process_start_time_seconds") == started(first)
        first.die()
        assert value(page, "process_start_time_seconds") == started(second)
    assert [record.message for record in caplog.records].count("several processes fit, the oldest is shown") == 1


def test_a_command_is_a_pattern_and_an_argument_a_whole_word(mark: str) -> None:
    with server(mark, "--port=8500"):
        assert value(watching(command=rf"\s{mark} -+port=\d+$"), "process_up") == 1
        assert value(watching(command=rf"^{mark}"), "process_up") == 0
        assert value(watching(argument=mark[:-1]), "process_up") == 0
        assert value(watching(argument=mark, command="python"), "process_up") == 1
        assert value(watching(argument=mark, command="nosuchprogram"), "process_up") == 0


def test_a_pid_file_names_the_process_and_what_else_is_given_must_fit(mark: str, tmp_path: Path) -> None:
    file = tmp_path / "server.pid"
    page, picky = watching(pid_file=file), watching(pid_file=file, argument="--something-else")
    assert value(page, "process_up") == 0
    with server(mark) as child, server(mark) as other:
        file.write_text(f"{other.pid}\n")
        assert value(page, "process_start_time_seconds") == started(other)
        assert value(picky, "process_up") == 0
        other.die()
        assert value(page, "process_up") == 0
        file.write_text(f"{child.pid}\n")
        assert (value(page, "process_up"), value(page, "process_restarts_total")) == (1, 1)


def test_a_pid_file_that_says_nothing_fails_its_part_alone(
    mark: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "server.pid"
    file.write_text("soon")
    page = watching(pid_file=file)
    for _ in range(3):
        assert value(page, "process_up") is None
    assert value(page, "scrape_part_success", part="processes") == 0
    assert value(page, "scrape_part_success", part="machine") == 1
    assert [record.__dict__["reason"] for record in caplog.records if record.levelno == logging.WARNING] == [
        f"{file} should hold one number, the pid"
    ]
    file.write_text(str(os.getpid()))
    assert value(page, "process_up") == 1
    assert value(page, "scrape_part_success", part="processes") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")
def test_what_the_kernel_hides_is_absent_and_said_once(mark: str) -> None:
    """The exporter as another user, against a server of ours."""
    script = (
        "import os; from tests.exporters.host.test_host_processes import watching, value\n"
        f"page = watching(argument={mark!r})\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "for part in 'process_up process_open_descriptors process_threads process_max_descriptors'.split():\n"
        "    print(value(page, part))\n"
        "print(value(page, 'scrape_part_success', part='processes'))\n"
    )
    with server(mark) as child:
        threads = psutil.Process(child.pid).num_threads()
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert done.stdout.split() == ["1", "None", str(threads), str(most), "1"], done.stderr
    assert done.stderr.count("hides its descriptors") == 1


def test_a_reload_keeps_the_counters_of_what_is_found_as_before(mark: str) -> None:
    entry = WatchedProcess(serving="main", target="a", argument=mark)
    page = HostPage(Host(processes=(entry,)), CGROUPS, lambda: None, SystemClock())
    first = Server(mark)
    assert value(page, "process_up") == 1
    first.close()
    with server(mark):
        assert value(page, "process_restarts_total") == 1
        page.adopt(Host(processes=(entry.model_copy(update={"rss_max": 1234}),)))
        assert value(page, "process_restarts_total") == 1
        assert value(page, "process_resident_memory_max_bytes") == 1234
        page.adopt(Host(processes=(entry.model_copy(update={"command": "python"}),)))
        assert (value(page, "process_up"), value(page, "process_restarts_total")) == (1, 0)
        page.adopt(Host())
        assert value(page, "process_up") is None


def test_resident_memory_may_be_a_share_of_the_limit(mark: str, tmp_path: Path) -> None:
    entry = WatchedProcess(serving="main", target="a", argument=mark)
    page = HostPage(Host(processes=(entry,), rss_ratio_max=0.5), unlimited(tmp_path), lambda: None, SystemClock())
    with server(mark):
        total = psutil.virtual_memory().total
        assert value(page, "process_memory_limit_bytes") == total
        assert value(page, "process_resident_memory_max_bytes") == int(total * 0.5)


def test_a_limit_that_cannot_be_seen_is_absent_and_said_once(
    mark: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entry = WatchedProcess(serving="main", target="a", argument=mark)
    page = HostPage(Host(processes=(entry,)), tmp_path / "nothing", lambda: None, SystemClock())
    with server(mark):
        for _ in range(2):
            assert value(page, "process_memory_limit_bytes") is None
            assert value(page, "process_resident_memory_max_bytes") is None
        assert value(page, "process_resident_memory_bytes") is not None
        page.adopt(Host(processes=(entry.model_copy(update={"rss_max": 1234}),)))
        assert value(page, "process_resident_memory_max_bytes") == 1234
    assert len([record for record in caplog.records if "cannot be seen" in record.message]) == 1
