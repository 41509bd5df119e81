"""One SHA-256 for a whole version, that anybody can compute again with coreutils.

Each regular file below the version's folder, links followed, gives the record

    HEX + two spaces + "./" + PATH + NUL

with HEX the SHA-256 of its contents in lower case and PATH its path relative to the version. The checksum is the
SHA-256 of all records in the byte order of PATH. In a shell, inside the version's folder:

    find -L . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum -z | sha256sum

Modes, owners, times and empty folders have no say.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from airbag.errors import AirbagError
from airbag.repository.folder import File, walk

CHUNK = 1 << 20


class Changed(AirbagError):
    """The version changed while it was read, or cannot be read whole. Try again once it rests."""

    reason = "changed"
    retryable = True


def checksum(folder: Path, known: dict[File, str], *, read: Callable[[int], None] = lambda _: None) -> str:
    """The checksum of the version in `folder`.

    Files in `known` are not read again. It is filled as files are read, so that a later call goes on where this one
    failed; after a success it holds the version's files and no others. `read` is called after every CHUNK bytes or less
    with their number: it may wait, to go easy on the disk, or raise, to give up. Changed, or OSError.
    """
    before = walk(folder)
    if before.problems:
        raise Changed(f"{folder}: {before.problems[0]}")
    for file in before.files:
        if file not in known:
            known[file] = _contents(folder, file, read)
    if walk(folder).files != before.files:
        raise Changed(f"{folder} changed while it was read")
    for file in known.keys() - set(before.files):
        del known[file]
    whole = hashlib.sha256()
    for file in before.files:
        whole.update(known[file].encode() + b"  ./" + os.fsencode(file.path) + b"\0")
    return whole.hexdigest()


def _contents(folder: Path, file: File, read: Callable[[int], None]) -> str:
    found = hashlib.sha256()
    with (folder / file.path).open("rb", buffering=0) as handle:
        while part := handle.read(CHUNK):
            found.update(part)
            read(len(part))
        now = os.fstat(handle.fileno())
    if (now.st_size, now.st_mtime_ns, now.st_ino) != (file.size, file.mtime_ns, file.inode):
        raise Changed(f"{folder / file.path} changed while it was read")
    return found.hexdigest()
