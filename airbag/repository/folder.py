"""What lies in one version's folder: names, sizes and times, no contents."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

FILES_MAX = 10_000
_DEPTH_MAX = 40


@dataclass(frozen=True, slots=True)
class File:
    """One regular file; `path` is relative to the version and uses `/`. Equal files are taken to hold equal bytes."""

    path: str
    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True)
class Folder:
    """A version's files in byte order of their paths. Links are followed, as the server follows them.

    `problems` are links to nothing or in circles and folders that cannot be read. `links` are the real paths behind
    the links. `touched_at` is the newest mtime of all files and folders.
    """

    files: tuple[File, ...]
    folders: frozenset[str]
    problems: tuple[str, ...]
    links: frozenset[str]
    touched_at: float

    @property
    def size(self) -> int:
        """The sum of the files' lengths in bytes."""
        return sum(file.size for file in self.files)

    @property
    def stamp(self) -> str:
        """Changes when a file comes, goes, or changes its length, mtime or inode."""
        told = [(file.path, file.size, file.mtime_ns, file.inode) for file in self.files]
        return hashlib.sha256(repr((told, sorted(self.folders), self.problems)).encode()).hexdigest()

    def file(self, path: str) -> File | None:
        """The file at that relative path."""
        return next((file for file in self.files if file.path == path), None)


@dataclass
class _Walk:
    root: Path
    files: list[File] = field(default_factory=list)
    folders: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    links: set[str] = field(default_factory=set)
    touched_at: float = 0.0

    def enter(self, path: str, above: frozenset[tuple[int, int]]) -> None:
        here = self.root / path
        found = here.stat()
        mark = (found.st_dev, found.st_ino)
        self.touched_at = max(self.touched_at, found.st_mtime)
        if mark in above or len(above) > _DEPTH_MAX:
            self.problems.append(f"{path} leads back to a folder above it, or too deep")
            return
        with os.scandir(here) as entries:
            found_here = sorted(entries, key=lambda entry: os.fsencode(entry.name))
        for entry in found_here:
            if len(self.files) >= FILES_MAX:
                self.problems.append(f"it holds more than {FILES_MAX} files")
                return
            self._take(entry, f"{path}/{entry.name}" if path else entry.name, above | {mark})

    def _take(self, entry: os.DirEntry[str], path: str, above: frozenset[tuple[int, int]]) -> None:
        try:
            if entry.is_symlink():
                self.links.add(os.path.realpath(entry.path))
            found = entry.stat()
            if stat.S_ISDIR(found.st_mode):
                self.folders.add(path)
                self.enter(path, above)
            elif stat.S_ISREG(found.st_mode):
                self.files.append(File(path, found.st_size, found.st_mtime_ns, found.st_ino))
                self.touched_at = max(self.touched_at, found.st_mtime)
        except FileNotFoundError:
            self.problems.append(f"{path} is a link to nothing, or went away")
        except OSError as error:
            self.problems.append(f"{path} cannot be read: {error.strerror or error}")


def walk(root: Path) -> Folder:
    """Everything below `root`. OSError when `root` itself cannot be read."""
    found = _Walk(root)
    if root.is_symlink():
        found.links.add(os.path.realpath(root))
    found.enter("", frozenset())
    files = tuple(sorted(found.files, key=lambda file: os.fsencode(file.path)))
    return Folder(files, frozenset(found.folders), tuple(found.problems), frozenset(found.links), found.touched_at)
