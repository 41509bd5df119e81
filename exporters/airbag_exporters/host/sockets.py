"""Which process listens on a TCP port, also inside another network namespace: a container's."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import psutil

_LISTENING = "0A"  # TCP_LISTEN of the kernel, as /proc/net/tcp writes it


class OwnerHidden(Exception):
    """Something listens on the port, and the kernel does not tell this user which process it is."""


def listeners(port: int, candidates: Iterable[psutil.Process]) -> list[psutil.Process]:
    """The candidates that hold a socket that listens on `port` in their own network namespace.

    Whether anything listens everybody may see; whose socket it is, only the process' own user, and who has
    CAP_SYS_PTRACE. Raises OwnerHidden when nobody is found and one of those that may not be looked into could be it.
    """
    sockets: dict[int, frozenset[str]] = {}
    found, hidden = [], 0
    for process in candidates:
        folder = Path(psutil.PROCFS_PATH, str(process.pid))
        try:
            namespace = (folder / "net/tcp").stat().st_ino  # each namespace has a file of its own
            if namespace not in sockets:
                sockets[namespace] = _listening(folder / "net", port)
            if sockets[namespace] and _holds(folder / "fd", sockets[namespace]):
                found.append(process)
        except PermissionError:
            hidden += 1
        except OSError:
            continue  # it ended meanwhile
    if hidden and not found:
        raise OwnerHidden(
            f"something listens on port {port}, and the kernel hides from this user which of {hidden} processes it is; "
            "run the exporter as the server's user, or as root"
        )
    return found


def _listening(folder: Path, port: int) -> frozenset[str]:
    """What /proc/PID/fd shows for each socket that listens there."""
    found = set()
    for name in ("tcp", "tcp6"):
        try:
            lines = (folder / name).read_text().splitlines()[1:]
        except FileNotFoundError:
            continue  # a kernel without IPv6
        for words in map(str.split, lines):
            if words[3] == _LISTENING and int(words[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{words[9]}]")
    return frozenset(found)


def _holds(folder: Path, sockets: frozenset[str]) -> bool:
    for entry in os.listdir(folder):  # noqa: PTH208 - names are enough, and there may be thousands
        try:
            if os.readlink(folder / entry) in sockets:  # noqa: PTH115 - a socket is no path
                return True
        except FileNotFoundError:
            continue  # closed meanwhile
    return False
