"""Which of the machine's processes is the one that is meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import psutil

from airbag_exporters.config import CONTAINER_ID, WatchedProcess
from airbag_exporters.host.containers import RuntimeSilent, groups, id_of, is_in
from airbag_exporters.host.sockets import OwnerHidden, listeners

Running = Iterable[tuple[psutil.Process, Sequence[str]]]


class CannotTell(Exception):
    """Whether the process runs cannot be said: what would tell, a file or the kernel or the runtime, does not."""


def find(entry: WatchedProcess, running: Running, runtime: Path | None = None) -> list[psutil.Process]:
    """The processes that fit, the oldest first: a process that is just being forked looks like the one that forks.

    `running` are processes with their command lines, `runtime` the socket that knows the names of containers.
    Raises CannotTell.
    """
    try:
        found = list(_fitting(entry, running, runtime))
        if entry.port is not None:
            found = listeners(entry.port, found)
    except (OwnerHidden, RuntimeSilent) as error:
        raise CannotTell(str(error)) from error
    return sorted(found, key=lambda process: (_age(process), process.pid))


def _fitting(entry: WatchedProcess, running: Running, runtime: Path | None) -> Iterator[psutil.Process]:
    """Those that fit in all but the port, what costs least asked first."""
    pid = _pid(entry)
    if entry.pid_file and pid is None:
        return
    container = _container(entry, runtime)
    if entry.container and container is None:
        return
    for process, words in running:
        if pid not in (None, process.pid) or not fits(entry, words):
            continue
        if entry.name is not None and re.fullmatch(entry.name, _told(process.name)) is None:
            continue
        if (container or entry.cgroup) and not _is_grouped(entry, container, _listing(process.pid)):
            continue
        yield process


def _is_grouped(entry: WatchedProcess, container: str | None, listing: str) -> bool:
    if container is not None and not is_in(container, listing):
        return False
    return entry.cgroup is None or any(re.search(entry.cgroup, path) for path in groups(listing))


def _container(entry: WatchedProcess, runtime: Path | None) -> str | None:
    if entry.container is None or CONTAINER_ID.fullmatch(entry.container) or runtime is None:
        return entry.container
    return id_of(entry.container, runtime)


def _listing(pid: int) -> str:
    try:
        return Path(psutil.PROCFS_PATH, str(pid), "cgroup").read_text()
    except OSError:
        return ""  # gone meanwhile


def _told(ask: Callable[[], str]) -> str:
    try:
        return ask()
    except psutil.Error:
        return ""


def _age(process: psutil.Process) -> float:
    try:
        return process.create_time()
    except psutil.Error:
        return float("inf")  # gone meanwhile; reading it will say so


def fits(entry: WatchedProcess, words: Sequence[str]) -> bool:
    """Whether this command line is one of its; what else is given comes on top."""
    if entry.argument is not None and entry.argument not in words:
        return False
    return entry.command is None or re.search(entry.command, " ".join(words)) is not None


def _pid(entry: WatchedProcess) -> int | None:
    """What the pid file says; None where the server has not written it, or took it away when it ended."""
    if entry.pid_file is None:
        return None
    try:
        return int(entry.pid_file.read_text())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CannotTell(f"{entry.pid_file} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise CannotTell(f"{entry.pid_file} should hold one number, the pid") from error


def running() -> list[tuple[psutil.Process, Sequence[str]]]:
    """Every process with its command line; kernel threads and what may not be seen have none and are left out."""
    found = [(process, process.info["cmdline"]) for process in psutil.process_iter(["cmdline"])]
    return [(process, words) for process, words in found if words]
