"""Waiting predictions as bytes: a checksum, which fields are the same in all rows (once), and the others as columns."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.ledger.values import WAITING

_HEADER = struct.Struct("<IIB")  # crc32 of what follows it, rows, a bit a field that is constant
_FIELDS = [(name, 1 << place) for place, name in enumerate(WAITING.names or ())]


def packed(rows: NDArray[np.void]) -> bytes:
    """The bytes of at least one row."""
    constant, parts = 0, []
    for name, bit in _FIELDS:
        column = rows[name].view(f"u{WAITING[name].itemsize}")  # as bits, so that NaN equals itself
        is_constant = bool(column[0] == column[-1]) and bool((column == column[0]).all())
        constant |= bit if is_constant else 0
        parts.append(column[:1].tobytes() if is_constant else column.tobytes())
    body = b"".join([_HEADER.pack(0, len(rows), constant)[4:], *parts])
    return zlib.crc32(body).to_bytes(4, "little") + body


def unpacked(data: bytes) -> NDArray[np.void]:
    """The rows; ValueError when these are not the bytes that were written."""
    if len(data) < _HEADER.size or zlib.crc32(memoryview(data)[4:]) != int.from_bytes(data[:4], "little"):
        raise ValueError("a batch of predictions does not have its checksum")
    _, count, constant = _HEADER.unpack_from(data)
    rows, offset = np.empty(count, WAITING), _HEADER.size
    for name, bit in _FIELDS:
        kind = WAITING[name]
        values = np.frombuffer(data, kind, 1 if constant & bit else count, offset)
        rows[name] = values
        offset += values.nbytes
    return rows


def summed(data: bytes) -> bytes:
    """With a checksum before it."""
    return zlib.crc32(data).to_bytes(4, "little") + data


def unsummed(data: bytes) -> bytes:
    """Without it; ValueError when it is wrong."""
    if zlib.crc32(memoryview(data)[4:]) != int.from_bytes(data[:4], "little") or len(data) < 4:
        raise ValueError("a row does not have its checksum")
    return data[4:]
