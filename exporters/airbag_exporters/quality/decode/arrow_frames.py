"""The frames of an Arrow IPC stream, looked over before nanoarrow allocates what they claim.

Read here: how many batches there are, that they lie within the body, and what compressed buffers say of their size.
The layout is that of Message.fbs and of the columnar format's section on IPC, https://arrow.apache.org/docs/format/.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from airbag_exporters.quality.columns import BadBatch

INFLATED_MAX = 64 << 20
BATCHES_MAX = 1000
_CONTINUATION = 0xFFFFFFFF
_DICTIONARY, _RECORDS = 2, 3  # of the union MessageHeader
_CUT = "the Arrow stream is cut off or damaged"


class Frames(NamedTuple):
    """What was counted; `inflated` are the bytes of all compressed buffers once they are not."""

    batches: int
    inflated: int


def look_over(body: bytes) -> Frames:
    """BadBatch for a stream that is cut off, has something behind its end, or would become too large."""
    batches = inflated = start = 0
    try:
        while start < len(body):
            start, size = _header(body, start)
            if not size:
                break
            kind, table, length = _message(body, start, size)
            if kind in (_DICTIONARY, _RECORDS):
                batches += 1
                inflated += _inflated(body, kind, table, start + size, length)
            start += size + length
            if batches > BATCHES_MAX:
                raise BadBatch(f"the Arrow stream has more than {BATCHES_MAX} batches; send fewer and larger ones")
            if inflated > INFLATED_MAX:
                raise BadBatch(f"the Arrow stream is larger than {INFLATED_MAX} bytes when decompressed")
    except struct.error as error:
        raise BadBatch(_CUT) from error
    if start != len(body):
        raise BadBatch(_CUT if start > len(body) else "there are bytes behind the end of the Arrow stream")
    return Frames(batches, inflated)


def _header(body: bytes, start: int) -> tuple[int, int]:
    """Where a message begins and its size, without the body; a size of 0 ends the stream."""
    (first,) = struct.unpack_from("<I", body, start)
    if first != _CONTINUATION:
        return start + 4, first
    (size,) = struct.unpack_from("<I", body, start + 4)
    return start + 8, size


def _message(body: bytes, start: int, size: int) -> tuple[int, int, int]:
    """Of a message its kind, the place of its table, and the length of its body."""
    if start + size > len(body):
        raise BadBatch(_CUT)
    root = _follow(body, start)
    kind = _field(body, root, 1, "<B")
    header = _place(body, root, 2)
    length = _field(body, root, 3, "<q")
    if header is None or not 0 <= length <= len(body) - start - size:
        raise BadBatch(_CUT)
    return kind, _follow(body, header), length


def _inflated(body: bytes, kind: int, table: int, start: int, length: int) -> int:
    if kind == _DICTIONARY:
        data = _place(body, table, 1)
        if data is None:
            raise BadBatch(_CUT)
        table = _follow(body, data)
    buffers = _place(body, table, 2)
    if buffers is None or _place(body, table, 3) is None:  # not compressed
        return 0
    first = _follow(body, buffers)
    (count,) = struct.unpack_from("<I", body, first)
    inflated = 0
    for place in range(first + 4, min(first + 4 + 16 * count, len(body)), 16):
        offset, size = struct.unpack_from("<qq", body, place)
        if size and not 0 <= offset <= length - max(size, 8):
            raise BadBatch(_CUT)
        inflated += max(struct.unpack_from("<q", body, start + offset)[0], 0) if size else 0  # -1: as it is
    return inflated


def _place(body: bytes, table: int, field: int) -> int | None:
    """Where a field of a flatbuffers table is, None when it is left out."""
    (back,) = struct.unpack_from("<i", body, table)
    vtable = table - back
    if vtable < 0:
        raise BadBatch(_CUT)
    (size,) = struct.unpack_from("<H", body, vtable)
    if 4 + 2 * field + 2 > size:
        return None
    (offset,) = struct.unpack_from("<H", body, vtable + 4 + 2 * field)
    return table + offset if offset else None


def _field(body: bytes, table: int, field: int, form: str) -> int:
    place = _place(body, table, field)
    return 0 if place is None else int(struct.unpack_from(form, body, place)[0])


def _follow(body: bytes, place: int) -> int:
    return place + int(struct.unpack_from("<I", body, place)[0])
