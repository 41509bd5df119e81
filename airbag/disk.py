"""What a write needs to be durable, and to be the only one."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make new and renamed files of `folder` survive a power cut; syncing the files alone does not. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lock_file(path: Path) -> int:
    """Lock a file, made with its folder where it is missing, for as long as the handle is open.

    BlockingIOError when another process holds it, another OSError when it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise
    return held


def replace_file(path: Path, data: bytes) -> None:
    """Let `path` hold `data` as a whole and for good, or what it held before: OSError, which names `path`."""
    new = path.with_name(f".{path.name}.new")
    try:
        with new.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        with suppress(OSError):
            new.unlink()
