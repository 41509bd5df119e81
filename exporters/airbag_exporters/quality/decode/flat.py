"""Reading flatbuffers, every place checked: what struct cannot unpack is a struct.error, never a read elsewhere."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass


class Damaged(Exception):
    """The bytes are no flatbuffer of this schema."""


@dataclass(frozen=True)
class Table:
    """A table at `place` of `data`; fields are numbered as in the schema file."""

    data: bytes
    place: int

    @classmethod
    def root(cls, data: bytes) -> Table:
        """The table that a buffer is made for."""
        return cls(data, 0)._follow(0)

    def number(self, field: int, form: str, default: int = 0) -> int:
        """A scalar; `form` is that of struct."""
        place = self._field(field)
        return default if place is None else int(self._unpack(form, place)[0])

    def table(self, field: int) -> Table | None:
        """A table, None when it is left out."""
        place = self._field(field)
        return None if place is None else self._follow(place)

    def text(self, field: int) -> str:
        """A string, empty when it is left out."""
        place = self._field(field)
        if place is None:
            return ""
        start = self._follow(place).place
        (size,) = self._unpack("<I", start)
        if start + 4 + size > len(self.data):
            raise Damaged
        try:
            return self.data[start + 4 : start + 4 + size].decode()
        except UnicodeDecodeError as error:
            raise Damaged from error

    def tables(self, field: int) -> Iterator[Table]:
        """The tables of a vector."""
        start, size = self._vector(field, 4)
        return (self._follow(start + 4 * number) for number in range(size))

    def pairs(self, field: int) -> list[tuple[int, int]]:
        """The structs of a vector, each two whole numbers of 64 bits."""
        start, size = self._vector(field, 16)
        return list(struct.iter_unpack("<qq", self.data[start : start + 16 * size]))

    def numbers(self, field: int) -> list[int]:
        """A vector of whole numbers of 64 bits."""
        start, size = self._vector(field, 8)
        return [number for (number,) in struct.iter_unpack("<q", self.data[start : start + 8 * size])]

    def _vector(self, field: int, width: int) -> tuple[int, int]:
        place = self._field(field)
        if place is None:
            return 0, 0
        start = self._follow(place).place
        (size,) = self._unpack("<I", start)
        if start + 4 + width * size > len(self.data):
            raise Damaged
        return start + 4, size

    def _field(self, field: int) -> int | None:
        vtable = self.place - self._unpack("<i", self.place)[0]
        (size,) = self._unpack("<H", vtable)
        if 6 + 2 * field > size:
            return None
        (offset,) = self._unpack("<H", vtable + 4 + 2 * field)
        return self.place + offset if offset else None

    def _follow(self, place: int) -> Table:
        return Table(self.data, place + self._unpack("<I", place)[0])

    def _unpack(self, form: str, place: int) -> tuple[int, ...]:
        if place < 0:
            raise Damaged
        try:
            return struct.unpack_from(form, self.data, place)
        except struct.error as error:
            raise Damaged from error
