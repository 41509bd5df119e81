"""The page as a whole: its shape, and parts that fail or hang beside those that do not."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import pytest

from airbag.clock import SystemClock
from airbag_exporters.config import Host, WatchedProcess
from airbag_exporters.host.nvml import Nvml
from airbag_exporters.host.page import HostPage
from tests.exporters.host.server import server, unlimited, value, values
from tests.exporters.processes import assert_golden, assert_lints, shape
from tests.fakes.nvml import FakeGpu, FakeNvml

CGROUPS = Path("/sys/fs/cgroup")


def test_the_page_shows_what_it_has_always_shown_and_lints(tmp_path: Path) -> None:
    nvml = FakeNvml(FakeGpu("GPU-1"))
    with server(mark := "--mark=golden-page-of-the-host") as child:
        nvml.gpus[0].processes = [(child.pid, 10), (1, 5)]
        nvml.gpus[0].samples = [(child.pid, 2, 30), (1, 2, 5)]
        nvml.report(nvml.gpus[0], 79)
        entry = WatchedProcess(serving="main", target="tf-serving", argument=mark)
        config = Host(processes=(entry,), disks=(tmp_path,), gpu_memory_ratio_max=0.9)
        host = HostPage(config, unlimited(tmp_path / "cgroup"), nvml.load, SystemClock())
        values(host.page())
        page = b"".join(host.page()).decode().replace(str(tmp_path), "/models")
    assert_lints(page)
    assert_golden("host.prom", shape(page))


def test_disks_are_shown_by_their_path_and_one_that_is_away_fails_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = tmp_path / "gone"
    page = HostPage(Host(disks=(gone, tmp_path)), CGROUPS, lambda: None, SystemClock())
    for _ in range(3):
        assert value(page, "disk_size_bytes", path=str(gone)) is None
    disk = os.statvfs(tmp_path)
    assert value(page, "disk_size_bytes", path=str(tmp_path)) == disk.f_blocks * disk.f_frsize
    free = value(page, "disk_free_bytes", path=str(tmp_path))
    assert free == pytest.approx(disk.f_bavail * disk.f_frsize, rel=0.2)
    assert value(page, "disk_inodes", path=str(tmp_path)) == disk.f_files
    assert value(page, "disk_inodes_free", path=str(tmp_path)) == pytest.approx(disk.f_favail, rel=0.2)
    assert value(page, "scrape_part_success", part="disks") == 0
    assert value(page, "scrape_part_success", part="processes") == 1
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [(record.__dict__["what"], record.__dict__["reason"]) for record in warnings] == [
        (str(gone), "No such file or directory")
    ]
    gone.mkdir()
    assert value(page, "scrape_part_success", part="disks") == 1
    assert value(page, "disk_size_bytes", path=str(gone)) is not None


def test_thresholds_stand_on_the_page_also_when_nothing_can_be_read() -> None:
    page = HostPage(Host(), CGROUPS, lambda: None, SystemClock())
    assert value(page, "disk_free_ratio_min", severity="warning") == 0.1
    assert value(page, "disk_free_ratio_min", severity="critical") == 0.03
    assert value(page, "memory_ratio_max") == 0.95
    assert value(page, "gpu_memory_ratio_max") is None


def test_a_part_that_hangs_costs_itself_and_is_not_asked_twice(caplog: pytest.LogCaptureFixture) -> None:
    answer, asked = threading.Event(), list[int]()

    def load() -> Nvml | None:
        asked.append(1)
        answer.wait(60)
        return None

    page = HostPage(Host(), CGROUPS, load, SystemClock(), patience=1.0)
    try:
        for _ in range(2):
            found = {name: value for (name, labels), value in values(page.page()).items() if not labels}
            assert "airbag_host_gpu_nvml_up" not in found
            assert "airbag_host_memory_size_bytes" in found
        assert value(page, "scrape_part_success", part="gpus") == 0
        assert len(asked) == 1
        assert [record.__dict__["reason"] for record in caplog.records] == ["does not answer"]
    finally:
        answer.set()
    assert value(page, "gpu_nvml_up") == 0
    assert value(page, "scrape_part_success", part="gpus") == 1


def test_a_part_that_surprises_costs_itself(caplog: pytest.LogCaptureFixture) -> None:
    def load() -> Nvml | None:
        raise RuntimeError("out of luck")

    page = HostPage(Host(), CGROUPS, load, SystemClock())
    for _ in range(2):
        assert value(page, "scrape_part_success", part="gpus") == 0
        assert value(page, "scrape_part_success", part="machine") == 1
    assert [record.__dict__["reason"] for record in caplog.records] == ["RuntimeError: out of luck"]


def test_memory_of_the_machine_is_what_the_kernel_says() -> None:
    page = HostPage(Host(), CGROUPS, lambda: None, SystemClock())
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    assert value(page, "memory_size_bytes") == int(lines["MemTotal"].split()[0]) * 1024
    available = value(page, "memory_available_bytes") or 0
    assert available == pytest.approx(int(lines["MemAvailable"].split()[0]) * 1024, rel=0.2)
