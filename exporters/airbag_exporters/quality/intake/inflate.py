"""Decompression with a bound."""

from __future__ import annotations

import zlib

from airbag_exporters.quality.columns import BadBatch

_GZIP = 31  # zlib's word for a gzip header around a 32 KiB window
_PIECE = 1 << 16
_MEMBERS_MAX = 1000
"""How many compressed bodies may be strung together; each costs time, however small it is."""


def decompress(body: bytes, limit: int) -> bytes:
    """A gzip body without its compression; BadBatch when it is not gzip, is cut off, or is larger than `limit`."""
    view, position, size = memoryview(body), 0, 0
    parts: list[bytes] = []
    for _ in range(_MEMBERS_MAX):
        inflater = zlib.decompressobj(_GZIP)
        while not inflater.eof:
            piece = view[position : position + _PIECE]
            if not piece:
                raise BadBatch("the compressed body is cut off")
            try:
                parts.append(inflater.decompress(piece, limit - size + 1))
            except zlib.error as error:
                raise BadBatch(f"the body is not gzip: {error}") from error
            size += len(parts[-1])
            if size > limit:
                raise BadBatch(f"the body is larger than {limit} bytes when decompressed")
            position += len(piece) - len(inflater.unused_data)
        if position == len(view):
            return b"".join(parts)
    raise BadBatch(f"the body is more than {_MEMBERS_MAX} gzip members; compress it as one")
