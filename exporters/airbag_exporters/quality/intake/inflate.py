"""Decompression with a bound."""

from __future__ import annotations

import zlib

from airbag_exporters.quality.columns import BadBatch

_GZIP = 31  # zlib's word for a gzip header around a 32 KiB window


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its content encoding; BadBatch when it is not gzip, is cut off, or is larger than `limit`."""
    parts, size = [], 0
    while body:
        inflater = zlib.decompressobj(_GZIP)
        try:
            parts.append(inflater.decompress(body, limit - size + 1))
        except zlib.error as error:
            raise BadBatch(f"the body is not {encoding}: {error}") from error
        size += len(parts[-1])
        if size > limit:
            raise BadBatch(f"the body is larger than {limit} bytes when decompressed")
        if not inflater.eof:
            raise BadBatch("the compressed body is cut off")
        body = inflater.unused_data
    return b"".join(parts)
