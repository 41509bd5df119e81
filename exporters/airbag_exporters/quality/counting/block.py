"""The counters of one owner: two arrays, and how they are kept."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from airbag.exposition import Family
from airbag_exporters.quality.columns import Floats
from airbag_exporters.quality.counting import families
from airbag_exporters.quality.counting.slices import Slices

Ints = NDArray[np.int64]

RESULTS = ("joined", "unmatched", "duplicate", "expired")
"""What may become of a label."""

_MAGIC = b"ABQ1"
_HEAD = struct.Struct("<4sIII")  # magic, CRC-32 of the rest, integer counters, float counters
_LARGEST = float(np.finfo(np.float64).max)


class Block:
    """`ints` and `floats` hold a counter for every series of `layout`; all are finite, none ever falls.

    Not thread-safe. Counting changes a block in place, so whoever shows it to others counts in a `copy`.
    """

    __slots__ = ("floats", "ints", "layout")

    def __init__(self, layout: Slices, ints: Ints | None = None, floats: Floats | None = None) -> None:
        self.layout = layout
        self.ints: Ints = np.zeros(layout.shape.sizes[0], np.int64) if ints is None else ints
        self.floats: Floats = np.zeros(layout.shape.sizes[1]) if floats is None else floats

    def copy(self) -> Block:
        """One with the same counters, which can be changed without this one."""
        return Block(self.layout, self.ints.copy(), self.floats.copy())

    def of(self, family: Family, suffix: str = "") -> NDArray[Any]:
        """The counters of a family, to be read or changed in place; KeyError where this owner has none."""
        found = self.layout.shape.slices[family, suffix]
        return (self.floats if found.part.is_float else self.ints)[found.range]

    def add(self, family: Family, amounts: ArrayLike, suffix: str = "") -> None:
        """Add to the counters of a family. Amounts are not negative; a float counter stops at the largest number."""
        counters = self.of(family, suffix)
        if counters.dtype.kind == "i":
            counters += amounts
        else:
            with np.errstate(over="ignore"):
                np.minimum(counters + amounts, _LARGEST, out=counters)

    def count_labels(self, result: str, count: int) -> None:
        """Count labels of a model that ended as one of RESULTS."""
        self.of(families.LABELS)[RESULTS.index(result)] += count

    def to_bytes(self) -> bytes:
        """The counters and which series they belong to."""
        rest = b"".join(each.tobytes() for each in (*self.layout.shape.identities, self.ints, self.floats))
        return _HEAD.pack(_MAGIC, zlib.crc32(rest), *self.layout.shape.sizes) + rest

    @classmethod
    def from_bytes(cls, layout: Slices, data: bytes) -> Block:
        """What `to_bytes` gave, maybe under another configuration: series that it does not know start at 0.

        ValueError when the bytes are damaged, or are none of ours.
        """
        block = cls(layout)
        own_ints, own_floats = layout.shape.identities
        int_ids, float_ids, ints, floats = _unpacked(data)
        _take_over(block.ints, own_ints, ints, int_ids)
        _take_over(block.floats, own_floats, floats, float_ids)
        return block


def merged(blocks: Iterable[Block]) -> Block:
    """The sum of some blocks. ValueError when they do not all have the same series, or there are none."""
    first, *others = blocks
    total = first.copy()
    for block in others:
        if block.layout != total.layout:
            raise ValueError(
                f"blocks with different series cannot be added up: {total.layout.names}, {block.layout.names}"
            )
        total.ints += block.ints
        with np.errstate(over="ignore"):
            np.minimum(total.floats + block.floats, _LARGEST, out=total.floats)
    return total


def _unpacked(data: bytes) -> tuple[NDArray[np.uint64], NDArray[np.uint64], Ints, Floats]:
    if len(data) < _HEAD.size:
        raise ValueError(f"the counters are cut short: {len(data)} bytes")
    magic, checksum, int_count, float_count = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        raise ValueError(f"these are no counters: they begin with {magic!r}")
    if len(data) != _HEAD.size + 16 * (int_count + float_count):
        raise ValueError(f"the counters are cut short, or too long: {len(data)} bytes")
    if zlib.crc32(memoryview(data)[_HEAD.size :]) != checksum:
        raise ValueError("the counters are damaged: their checksum is wrong")
    whole = np.frombuffer(data, "<u8", offset=_HEAD.size)
    int_ids, float_ids, ints, floats = np.split(whole, np.cumsum([int_count, float_count, int_count]))
    return int_ids, float_ids, ints.view("<i8"), floats.view("<f8")


def _take_over(mine: NDArray[Any], own: NDArray[np.uint64], theirs: NDArray[Any], given: NDArray[np.uint64]) -> None:
    if np.array_equal(own, given):
        mine[:] = theirs
        return
    _, at, from_ = np.intersect1d(own, given, return_indices=True)
    mine[at] = theirs[from_]
