"""What the kernel tells of one process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

from airbag_exporters.host.cgroup import memory_limit


@dataclass(frozen=True)
class Reading:
    """One process at one moment. None is what this user may not see, or what has no limit."""

    started: float
    user: float
    system: float
    resident: int
    threads: int
    descriptors: int | None
    descriptors_max: int | None
    memory_limit: float | None


def runs(process: psutil.Process) -> bool:
    """Whether it has not ended; one of which its parent has not yet taken note has."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def read(process: psutil.Process, cgroups: Path) -> Reading | None:
    """Read it; None when it is gone."""
    try:
        with process.oneshot():
            if not runs(process):
                return None
            cpu = process.cpu_times()
            return Reading(
                started=process.create_time(),
                user=cpu.user,
                system=cpu.system,
                resident=process.memory_info().rss,
                threads=process.num_threads(),
                descriptors=_descriptors(process),
                descriptors_max=_descriptors_max(process.pid),
                memory_limit=_memory_limit(process.pid, cgroups),
            )
    except psutil.NoSuchProcess:
        return None


def _descriptors(process: psutil.Process) -> int | None:
    try:
        return process.num_fds()
    except psutil.AccessDenied:
        return None


def _descriptors_max(pid: int) -> int | None:
    """From the text that everybody may read: asking the kernel for another user's limits needs privileges."""
    for line in _proc(pid, "limits").splitlines():
        if line.startswith("Max open files"):
            soft = line.split()[3]
            return int(soft) if soft.isdigit() else None
    return None


def _memory_limit(pid: int, cgroups: Path) -> float | None:
    limit = memory_limit(_proc(pid, "cgroup"), cgroups)
    return None if limit is None else min(limit, psutil.virtual_memory().total)


def _proc(pid: int, name: str) -> str:
    try:
        return Path(psutil.PROCFS_PATH, str(pid), name).read_text()
    except (FileNotFoundError, ProcessLookupError) as error:
        raise psutil.NoSuchProcess(pid) from error
    except OSError:
        return ""
