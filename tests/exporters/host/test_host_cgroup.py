"""How much memory a control group may hold, in both versions of the kernel's interface."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from airbag_exporters.host.cgroup import memory_limit

NONE = float("inf")
V1 = "9:name=systemd:/\n5:cpu,memory:/docker/abc\n0::/\n"
V2 = "0::/system.slice/docker-abc.scope\n"


def write(folder: Path, group: str, name: str, text: str) -> None:
    (folder / group).mkdir(parents=True, exist_ok=True)
    (folder / group / name).write_text(f"{text}\n")


def test_version_2_takes_the_least_limit_of_the_group_and_those_above_it(tmp_path: Path) -> None:
    write(tmp_path, "system.slice/docker-abc.scope", "memory.max", "2000")
    assert memory_limit(V2, tmp_path) == 2000
    write(tmp_path, "system.slice", "memory.max", "1500")
    assert memory_limit(V2, tmp_path) == 1500
    write(tmp_path, "", "memory.max", "1000")
    assert memory_limit(V2, tmp_path) == 1000


def test_version_2_without_a_limit_has_none(tmp_path: Path) -> None:
    write(tmp_path, "system.slice/docker-abc.scope", "memory.max", "max")
    assert memory_limit(V2, tmp_path) == NONE
    assert memory_limit("0::/\n", tmp_path) == NONE


def test_version_1_counts_where_the_memory_controller_is(tmp_path: Path) -> None:
    write(tmp_path, "memory/docker/abc", "memory.limit_in_bytes", "2000")
    write(tmp_path, "memory/docker", "memory.limit_in_bytes", "9223372036854771712")
    write(tmp_path, "", "memory.max", "7")
    assert memory_limit(V1, tmp_path) == 2000


@pytest.mark.parametrize("listing", ["0::/../docker-abc.scope\n", "0::/elsewhere\n", "5:memory:/docker/def\n"])
def test_a_group_that_cannot_be_seen_has_no_answer_rather_than_this_process_s(listing: str, tmp_path: Path) -> None:
    folder = tmp_path / "cgroup"
    write(folder, "", "memory.max", "512")
    write(folder, "memory", "memory.limit_in_bytes", "512")
    (tmp_path / "docker-abc.scope").mkdir()  # beside what is mounted, and nothing of it
    assert memory_limit(listing, folder) is None


def test_a_kernel_without_control_groups_has_no_limit(tmp_path: Path) -> None:
    assert memory_limit("", tmp_path) == NONE


def test_this_process_has_a_limit_that_fits_its_machine() -> None:
    limit = memory_limit(Path("/proc/self/cgroup").read_text(), Path("/sys/fs/cgroup"))
    assert limit is None or limit > psutil.Process().memory_info().rss
