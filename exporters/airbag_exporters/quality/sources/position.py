"""How far a file was read, in a way that finds the place again after rotation and restart."""

from __future__ import annotations

import hashlib
import os

import msgspec

HEAD_MAX = 1024


class Head(msgspec.Struct, frozen=True):
    """The first `size` bytes of a file by their hash: tells a file from another one that got its inode."""

    size: int = 0
    digest: str = ""

    @classmethod
    def of(cls, handle: int, size: int) -> Head:
        """Of an open file, up to HEAD_MAX bytes."""
        size = min(size, HEAD_MAX)
        return cls(size, hashlib.sha256(os.pread(handle, size, 0)).hexdigest()[:32] if size else "")


class Position(msgspec.Struct, frozen=True):
    """A place between two lines. `before` is the inode of the file that was read to its end before this one."""

    inode: int
    offset: int = 0
    head: Head = Head()
    before: int = 0

    def text(self) -> str:
        """As a cursor."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def parse(cls, text: str | None) -> Position | None:
        """From a cursor; None where there is none, or none of ours."""
        try:
            return msgspec.json.decode(text, type=cls) if text else None
        except msgspec.DecodeError:
            return None

    def fits(self, handle: int) -> bool:
        """Whether the open file has that place, and begins as the file did that was read so far."""
        return os.fstat(handle).st_size >= self.offset and Head.of(handle, self.head.size) == self.head

    def at(self, handle: int, offset: int) -> Position:
        """Further on in the same file."""
        head = self.head if self.head.size == HEAD_MAX else Head.of(handle, offset)
        return Position(self.inode, offset, head, self.before)
