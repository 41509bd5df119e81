"""How much memory the control group of a process may hold."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

_V1, _V2 = "memory.limit_in_bytes", "memory.max"


def memory_limit(listing: str, folder: Path) -> float | None:
    """The least limit of the group and those above it; infinity without one, None when the group cannot be seen.

    `listing` is the text of /proc/PID/cgroup and `folder` what is mounted at /sys/fs/cgroup. The group of another
    container is seen only where this process shares the host's control group namespace: without it, what lies in
    `folder` is a limit of this process, and would be a wrong answer.
    """
    found = _group(listing)
    if found is None:
        return float("inf")
    group, root, file = found[0], folder / found[1], found[2]
    if ".." in group.parts or not (root / group.relative_to("/")).is_dir():
        return None
    limits = [_limit(root / each.relative_to("/") / file) for each in (group, *group.parents)]
    return min(limits)


def _group(listing: str) -> tuple[PurePosixPath, str, str] | None:
    """Path, mount and file of the group that counts memory: version 1's where that has the controller."""
    groups = [line.split(":", 2) for line in listing.splitlines() if line.count(":") >= 2]
    for _, controllers, path in groups:
        if "memory" in controllers.split(","):
            return PurePosixPath(path), "memory", _V1
    for number, _, path in groups:
        if number == "0":
            return PurePosixPath(path), "", _V2
    return None


def _limit(file: Path) -> float:
    try:
        text = file.read_text().strip()
    except OSError:
        return float("inf")  # the root of the hierarchy has no limit and no such file
    return int(text) if text.isdigit() else float("inf")
