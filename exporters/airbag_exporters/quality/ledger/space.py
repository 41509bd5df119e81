"""An array in a circle whose memory comes when it is written and goes back when it is not needed any more."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airbag.errors import StartError

_PIECE = 1 << 16  # bytes that go back at a time
SLACK = 1 << 16
"""Entries that must stay free between tail and head, so that no piece holds both new and old ones."""


class Space:
    """`array` (size,) of rows or of flags (hence Any), none of more bytes than `_PIECE`.

    `size` is a power of two, at least SLACK.
    """

    def __init__(self, dtype: np.dtype[np.void] | np.dtype[np.uint8], size: int) -> None:
        self._mask, self._bytes = size - 1, dtype.itemsize
        try:
            self._memory = mmap.mmap(-1, size * self._bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except (OSError, ValueError, OverflowError) as error:
            raise StartError(
                f"no room for {size} waiting predictions in memory: {error}. Lower `pending_max`"
            ) from error
        self.array: NDArray[Any] = np.frombuffer(self._memory, dtype)

    def spans(self, start: int, stop: int) -> Iterator[slice]:
        """Where the entries of these positions lie: one piece of the array, or two."""
        first, count = start & self._mask, stop - start
        until_end = min(count, self._mask + 1 - first)
        yield slice(first, first + until_end)
        if count > until_end:
            yield slice(0, count - until_end)

    def give_back(self, start: int, stop: int) -> None:
        """Return the memory of these positions, as far as it makes whole pieces with what went back before."""
        if not hasattr(mmap, "MADV_DONTNEED"):  # not every system can
            return
        pieces = (self._mask + 1) * self._bytes // _PIECE
        first, last = start * self._bytes // _PIECE, stop * self._bytes // _PIECE
        while first < last:
            place = first % pieces
            count = min(last - first, pieces - place)
            self._memory.madvise(mmap.MADV_DONTNEED, place * _PIECE, count * _PIECE)
            first += count
