"""Which of the machine's processes is the one that is meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import psutil

from airbag_exporters.config import WatchedProcess


class PidFileUnreadable(Exception):
    """The pid file is there and does not say which process it is."""


def find(entry: WatchedProcess, running: Iterable[tuple[psutil.Process, Sequence[str]]]) -> list[psutil.Process]:
    """The processes that fit, the oldest first: a process that is just being forked looks like the one that forks.

    `running` are processes with their command lines. Raises PidFileUnreadable.
    """
    pid = _pid(entry)
    if entry.pid_file and pid is None:
        return []
    return sorted(
        (process for process, words in running if pid in (None, process.pid) and fits(entry, words)),
        key=lambda process: (_age(process), process.pid),
    )


def _age(process: psutil.Process) -> float:
    try:
        return process.create_time()
    except psutil.Error:
        return float("inf")  # gone meanwhile; reading it will say so


def fits(entry: WatchedProcess, words: Sequence[str]) -> bool:
    """Whether this command line is one of its; what the pid file says comes on top."""
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
        raise PidFileUnreadable(f"{entry.pid_file} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise PidFileUnreadable(f"{entry.pid_file} should hold one number, the pid") from error


def running() -> list[tuple[psutil.Process, Sequence[str]]]:
    """Every process with its command line; kernel threads and what may not be seen have none and are left out."""
    found = [(process, process.info["cmdline"]) for process in psutil.process_iter(["cmdline"])]
    return [(process, words) for process, words in found if words]
