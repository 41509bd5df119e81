"""Which files a rotated file may have become."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airbag_exporters.quality.sources.position import Position

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")
_ORDINAL = re.compile(r"[.-](\d[\dT:._-]*)")
_SPECIAL = re.compile(r"[*?\[]")


def is_pattern(path: Path) -> bool:
    """Whether the last part of the path stands for several files."""
    return _SPECIAL.search(path.name) is not None


def matching(pattern: Path) -> list[Path]:
    """The files that a pattern means now, without compressed ones and without those that rotation made of others."""
    names = {name for name in _names(pattern.parent) if fnmatch.fnmatchcase(name, pattern.name)}
    kept = (name for name in names if not name.endswith(_COMPRESSED) and not _is_rotated(name, names))
    return [pattern.parent / name for name in sorted(kept)]


def _is_rotated(name: str, names: set[str]) -> bool:
    places = (each.start() for each in re.finditer(r"[.-]\d", name))
    return any(name[:place] in names and _ORDINAL.fullmatch(name[place:]) for place in places)


def siblings(path: Path) -> Iterator[Path]:
    """Files that `path` may have been renamed or copied to: `events.ndjson.1`, `events.ndjson-20260131`,
    `events-2026-01-31.ndjson`."""
    for name in _names(path.parent):
        after = name.startswith((f"{path.name}.", f"{path.name}-"))
        inside = name.startswith((f"{path.stem}.", f"{path.stem}-")) and name.endswith(path.suffix)
        if name != path.name and (after or inside) and not name.endswith(_COMPRESSED):
            yield path.parent / name


def find(path: Path, position: Position) -> Path | None:
    """The sibling that holds the rest of what was being read; rather the same file than a copy of it."""
    found = None
    for sibling in siblings(path):
        with opened(sibling) as handle:
            if handle is None or not position.fits(handle):
                continue
            if os.fstat(handle).st_ino == position.inode:
                return sibling
            if position.head.size:
                found = sibling
    return found


def after(path: Path, position: Position, modified: int) -> Path:
    """The file to read once the one at `position`, last `modified` at that time in ns, is finished.

    That is `path`, unless it was rotated more than once meanwhile.
    """
    known = (position.inode, position.before)
    missed: list[tuple[int, int, str]] = []
    for sibling in siblings(path):
        ordinal = _ORDINAL.fullmatch(sibling.name[len(path.name) :]) if sibling.name.startswith(path.name) else None
        with opened(sibling) as handle:
            if handle is None or ordinal is None:
                continue
            status = os.fstat(handle)
            is_copy = position.head.size > 0 and position.fits(handle)
            if status.st_mtime_ns >= modified and status.st_ino not in known and not is_copy:
                number = ordinal[1]
                missed.append((status.st_mtime_ns, -int(number) if number.isdecimal() else 0, sibling.name))
    return path.parent / min(missed)[2] if missed else path


@contextmanager
def opened(path: Path) -> Iterator[int | None]:
    """A handle of a regular file as long as the block lasts, or None where it cannot be opened."""
    try:
        handle = open_regular(path)
    except OSError:
        handle = None
    try:
        yield handle
    finally:
        if handle is not None:
            os.close(handle)


def open_regular(path: Path) -> int:
    """A handle of a regular file; OSError for anything else, without waiting for a pipe's other end."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not os.path.isfile(handle):  # noqa: PTH113 - a handle, not a path
        os.close(handle)
        raise OSError(22, "is no regular file", str(path))
    return handle


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names, not paths
    except OSError:
        return []
