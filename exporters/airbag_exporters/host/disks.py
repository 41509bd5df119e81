"""The part `disks`: one look a path, for one that hangs must not hide the others."""

from __future__ import annotations

import os
from pathlib import Path

from airbag.exposition import Samples
from airbag_exporters.host import families
from airbag_exporters.host.part import Look


def look_at_disk(path: Path) -> Look:
    """The file system under this path. One that counts no inodes, such as btrfs, shows none."""
    samples, names = Samples(families.OF_DISKS), (str(path),)
    try:
        found = os.statvfs(path)
    except OSError as error:
        return Look(samples, {str(path): error.strerror or str(error)})
    samples.add(families.DISK_SIZE, names, found.f_blocks * found.f_frsize)
    samples.add(families.DISK_FREE, names, found.f_bavail * found.f_frsize)
    if found.f_files:
        samples.add(families.INODES, names, found.f_files)
        samples.add(families.INODES_FREE, names, found.f_favail)
    return Look(samples)
