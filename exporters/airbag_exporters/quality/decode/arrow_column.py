"""Columns of one Arrow batch. Every buffer is checked against the length of its column before it is indexed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import BadBatch, Coded, Floats, class_name
from airbag_exporters.quality.decode.columns import Column, texts
from airbag_exporters.quality.decode.given import Mask
from airbag_exporters.quality.decode.texts import Bytes, Texts

_NUMBERS = {
    "c": np.int8, "C": np.uint8, "s": np.int16, "S": np.uint16, "i": np.int32, "I": np.uint32, "l": np.int64,
    "L": np.uint64, "e": np.float16, "f": np.float32, "g": np.float64,
}  # fmt: skip
_TEXTS = {"u": np.int32, "U": np.int64}
_VIEWS = "vu"
_UNITS = {"s": 1.0, "m": 1e3, "u": 1e6, "n": 1e9}
_EXACT = 1 << 53


@dataclass(frozen=True)
class Array:
    """Part of a batch as it lies in memory: a type, written as in Arrow's C data interface, and buffers of any size.

    With a `dictionary` the buffers are those of the indices.
    """

    name: str
    format: str
    length: int
    buffers: tuple[Bytes, ...] = ()
    children: tuple[Array, ...] = ()
    dictionary: Array | None = None

    def cells(self) -> int:
        """How many numbers of eight bytes it becomes, about, with what its fields and dictionary hold."""
        cells = self.length + sum(child.cells() for child in self.children)
        if self.dictionary is not None:
            cells += self.dictionary.cells() + sum(len(buffer) for buffer in self.dictionary.buffers) // 8
        return cells


@dataclass(frozen=True)
class ArrowColumn:
    """A column and its name in messages. `within` says where the struct is not missing that it is a field of;
    elsewhere a field may hold anything.
    """

    name: str
    array: Array
    within: Mask | None = None

    def __len__(self) -> int:
        return self.array.length

    @property
    def format(self) -> str:
        """The type, as the C data interface writes it."""
        return self.array.format

    @cached_property
    def known(self) -> Mask | None:
        """Where there is a value; None when there is one everywhere."""
        if self.format == "n":
            return np.zeros(len(self), np.bool_)
        bitmap = self.array.buffers[0]
        known = self._bits(bitmap) if len(bitmap) else self.within
        if self.within is not None and known is not None:
            known = known & self.within
        return None if known is None or known.all() else known

    def children(self) -> dict[str, ArrowColumn]:
        """The columns of a struct by name."""
        fields = self.array.children
        children = {each.name: ArrowColumn(f"{self.name}.{each.name}", each, self.known) for each in fields}
        if any(len(child) != len(self) for child in children.values()):
            raise self.refused("has fields that are not as long as itself")
        if len(children) < len(fields):
            raise self.refused("has two fields of the same name")
        return children

    def values(self) -> Column:
        """Numbers, or texts; whole numbers that no float holds are texts."""
        if self.array.dictionary is not None:
            return self._decoded()
        if self.format in _TEXTS or self.format == _VIEWS:
            return self._texts().coded()
        if self.format in ("l", "L"):
            whole = self._numbers()
            if len(whole) and (int(whole.max()) > _EXACT or int(whole.min()) < -_EXACT):
                return self._names(whole)
        return self.floats()

    def floats(self) -> Floats:
        """Numbers, NaN where missing. Without missing values a float64 column is not copied."""
        if self.array.dictionary is not None:
            column = self._decoded()
            if isinstance(column, Coded):
                raise self.refused("Expected numbers, got texts")
            return column
        if self.format == "n":
            return np.full(len(self), np.nan)
        if self.format == "b":
            return self._missing(self._bits(self.array.buffers[1]).astype(np.float64))
        return self._missing(self._numbers())

    def seconds(self) -> Floats:
        """Numbers are seconds already; a timestamp or duration is changed to them."""
        kind, unit = self.format[:2], self.format[2:3]
        if kind not in ("ts", "tD") or self.array.dictionary is not None:
            return self.floats()
        return self._missing(self._buffer(1, np.int64, len(self)) / _UNITS[unit])

    def coded(self) -> Coded:
        """Texts; numbers by their name as a class."""
        return texts(self.values())

    def ids(self) -> Texts:
        """Texts to be hashed. A dictionary is laid out first."""
        if self.array.dictionary is None:
            return self._texts()
        return Texts.of(self.name, self.coded())

    def lists(self) -> tuple[Floats, NDArray[np.int64], Mask]:
        """All values, the offsets (n+1,) of the lists, and which rows have one."""
        known = np.ones(len(self), np.bool_) if self.known is None else self.known
        if self.format.startswith("+w:"):
            width = int(self.format[3:])
            offsets = np.arange(len(self) + 1, dtype=np.int64) * width
        elif self.format in ("+l", "+L"):
            offsets = self._offsets(np.int32 if self.format == "+l" else np.int64).astype(np.int64)
        else:
            raise self.refused(f"Expected lists of numbers, got {self._type()}")
        child = ArrowColumn(self.name, self.array.children[0])
        values = child.floats()
        if np.any(np.diff(offsets) < 0) or offsets[0] < 0 or offsets[-1] > len(values):
            raise self.refused("has lists that lie outside of its values")
        return values, offsets, known

    def refused(self, text: str) -> BadBatch:
        """An error that names the column."""
        return BadBatch(f"field `{self.name}`: {text}")

    def _decoded(self) -> Column:
        if self.array.dictionary is None:
            raise self.refused("Expected a dictionary")
        values = ArrowColumn(self.name, self.array.dictionary).values()
        codes = self._buffer(1, _NUMBERS[self.format], len(self)).astype(np.intp)
        missing = np.zeros(len(self), np.bool_) if self.known is None else ~self.known
        codes[missing] = 0
        if len(codes) and (codes.min() < 0 or codes.max() >= len(values)) and not missing.all():
            raise self.refused("has dictionary indices that lie outside of its dictionary")
        if isinstance(values, Coded):
            table = np.append(values.codes, -1)
            return Coded(values.values, np.where(missing, -1, table[codes]))
        return np.where(missing, np.nan, np.append(values, np.nan)[codes])

    def _texts(self) -> Texts:
        if self.format == _VIEWS:
            views = self._buffer(1, np.uint8, 16 * len(self))
            return Texts.of_views(self.name, views, self.array.buffers[2:], self.known)
        if self.format not in _TEXTS:
            raise self.refused(f"Expected texts, got {self._type()}")
        offsets = self._offsets(_TEXTS[self.format])
        return Texts(self.name, offsets, self.array.buffers[2], self.known).checked()

    def _offsets(self, kind: type[Any]) -> NDArray[Any]:
        """(n+1,); a column without rows may have none."""
        return self._buffer(1, kind, len(self) + 1) if len(self) else np.zeros(1, kind)

    def _numbers(self) -> NDArray[Any]:
        if self.format not in _NUMBERS:
            raise self.refused(f"Expected numbers or texts, got {self._type()}")
        return self._buffer(1, _NUMBERS[self.format], len(self))

    def _names(self, whole: NDArray[Any]) -> Coded:
        values, codes = np.unique(whole, return_inverse=True)
        names = tuple(map(class_name, values.tolist()))
        return Coded(names, codes if self.known is None else np.where(self.known, codes, -1))

    def _missing(self, column: NDArray[Any]) -> Floats:
        floats: Floats = column.astype(np.float64, copy=False)
        return floats if self.known is None else np.where(self.known, floats, np.nan)

    def _bits(self, bitmap: Bytes) -> Mask:
        if 8 * len(bitmap) < len(self):
            raise self.refused("has fewer values than rows")
        return np.unpackbits(bitmap, count=len(self), bitorder="little").view(np.bool_)

    def _buffer(self, number: int, kind: type[Any], length: int) -> NDArray[Any]:
        buffer, end = self.array.buffers[number], length * np.dtype(kind).itemsize
        if len(buffer) < end:
            raise self.refused("has fewer values than rows")
        return buffer[:end].view(kind)

    def _type(self) -> str:
        return f"Arrow's format {self.format!r}"
