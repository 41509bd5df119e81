"""A column of texts in the layout of Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import BadBatch, Coded, Keys
from airbag_exporters.quality.decode.columns import Rows
from airbag_exporters.quality.decode.given import Mask
from airbag_exporters.quality.hashing import Offsets, hash_utf8

Bytes = NDArray[np.uint8]
_INLINE_MAX = 12
_VIEWED_MAX = 64 << 20
"""Bytes of all texts of a column of views, which may point to the same bytes again and again."""
_SAMPLE = 4096
_HASHED_MAX = 512
"""Bytes of a text up to which hashing is the fast way to tell texts apart."""


@dataclass(frozen=True)
class Texts:
    """Row i is the UTF-8 `data[offsets[i]:offsets[i + 1]]`; `known` says which rows have one, None when all have."""

    name: str
    offsets: Offsets
    data: Bytes
    known: Mask | None = None

    @classmethod
    def of(cls, name: str, column: Coded) -> Texts:
        """The same rows, laid out."""
        encoded = [value.encode() for value in (*column.values, "")]
        lengths = np.array([len(value) for value in encoded], dtype=np.int64)
        data = b"".join(encoded[code] for code in column.codes.tolist())
        offsets = np.concatenate([[0], np.cumsum(lengths[column.codes])])
        missing = column.codes < 0
        return cls(name, offsets, np.frombuffer(data, np.uint8), ~missing if missing.any() else None)

    @classmethod
    def of_views(cls, name: str, views: Bytes, buffers: Sequence[Bytes], known: Mask | None) -> Texts:
        """From 16 bytes a row: the length, then up to 12 bytes of text, or where in which of `buffers` it lies."""
        fields = views.view("<i4").reshape(-1, 4)
        lengths = fields[:, 0].astype(np.int64) if known is None else np.where(known, fields[:, 0], 0).astype(np.int64)
        sizes = np.array([len(views), *map(len, buffers)], dtype=np.int64)
        within = lengths <= _INLINE_MAX
        numbers = np.where(within, 0, fields[:, 2] + 1)
        if np.any(lengths < 0) or np.any((numbers < 0) | (numbers >= len(sizes))) or lengths.sum() > _VIEWED_MAX:
            raise BadBatch(f"field `{name}`: has texts that lie outside of its data, or too much text")
        starts = np.where(within, 16 * np.arange(len(fields)) + 4, fields[:, 3])
        if np.any((starts < 0) | (starts + lengths > sizes[numbers])):
            raise BadBatch(f"field `{name}`: has texts that lie outside of its data")
        parts = [views.tobytes(), *(buffer.tobytes() for buffer in buffers)]
        rows = zip(numbers.tolist(), starts.tolist(), (starts + lengths).tolist(), strict=True)
        data = b"".join([parts[number][start:end] for number, start, end in rows])
        return cls(name, np.concatenate([[0], np.cumsum(lengths)]), np.frombuffer(data, np.uint8), known).checked()

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def checked(self) -> Texts:
        """Itself. BadBatch for offsets that lie and for what is no UTF-8."""
        if self.offsets[0] < 0 or self.offsets[-1] > len(self.data) or np.any(self.offsets[1:] < self.offsets[:-1]):
            raise BadBatch(f"field `{self.name}`: has texts that lie outside of its data")
        used = self.data[self.offsets[0] : self.offsets[-1]]
        if len(used) and used.max() > 0x7F:
            starts = self.offsets[(self.offsets < self.offsets[-1])]
            try:
                used.tobytes().decode()
            except UnicodeDecodeError as error:
                raise BadBatch(f"field `{self.name}`: {error}") from error
            if np.any((self.data[starts] & 0xC0) == 0x80):
                raise BadBatch(f"field `{self.name}`: has a text that begins within a character")
        return self

    def characters_over(self, limit: int) -> Rows:
        """The rows with more characters than that."""
        long = np.flatnonzero(np.diff(self.offsets) > limit)
        return np.array([row for row in long.tolist() if len(self.text(row)) > limit], dtype=np.intp)

    def empty(self) -> Rows:
        """The rows whose text has no characters."""
        empty = np.diff(self.offsets) == 0
        return np.flatnonzero(empty if self.known is None else empty & self.known)

    def text(self, row: int) -> str:
        """The text of that row."""
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes().decode()

    def keys(self) -> Keys:
        """(n,) hashes."""
        return hash_utf8(self.offsets, self.data)

    def coded(self) -> Coded:
        """Each different text once."""
        if len(self) and int(np.diff(self.offsets).max()) > _HASHED_MAX:
            missing = np.zeros(len(self), np.bool_) if self.known is None else ~self.known
            return Coded.of([None if lacks else self.text(row) for row, lacks in enumerate(missing.tolist())])
        firsts, codes = _distinct(self.keys())
        column = Coded(tuple(map(self.text, firsts.tolist())), codes)
        return column if self.known is None else Coded(column.values, np.where(self.known, codes, -1))


def _distinct(keys: Keys) -> tuple[Rows, Rows]:
    """The first row of each different key, and the place among them of each row's.

    Mostly there are few, and a sample of the rows has them all: looking them up is five times as fast as sorting.
    """
    few = np.unique(keys[:_SAMPLE])
    if len(keys) > _SAMPLE and len(few) <= _SAMPLE // 8:
        places = np.minimum(np.searchsorted(few, keys), len(few) - 1)
        rest = np.flatnonzero(few[places] != keys)
        if len(rest) <= len(keys) // 8:
            more, inverse = np.unique(keys[rest], return_inverse=True)
            places[rest] = len(few) + inverse
            firsts = np.full(len(few) + len(more), len(keys), dtype=np.intp)
            firsts[places[::-1]] = np.arange(len(keys) - 1, -1, -1)
            return firsts, places
    _, found, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return found, inverse.astype(np.intp)
