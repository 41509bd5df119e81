"""Ids as 64-bit numbers: what is joined, stored and shared between replicas.

The function is MurmurHash64A (Austin Appleby, 2008; seed 0) of the UTF-8 bytes, computed for all rows at once. It is
stable for ever and the same on every machine, because ledgers keep its values. n different ids collide somewhere with
probability n^2 / 2^65: 3e-8 for a million that wait at once, 3e-4 for a hundred million. Two ids of the same length
that differ only within one aligned group of eight bytes never collide, so neither do ids that count up. It is not
keyed: whoever may post events could make ids that collide, and would spoil their own numbers only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from airbag_exporters.quality.columns import Keys

_M = np.uint64(0xC6A4A7935BD1E995)
_R = np.uint64(47)
_ROWS = 8192  # a block whose working arrays stay in the processor's cache

Offsets = NDArray[np.int32] | NDArray[np.int64]


def hash_text(text: str) -> int:
    """The hash of one text."""
    return int(hash_texts((text,))[0])


def hash_texts(texts: Sequence[str]) -> Keys:
    """(n,) hashes."""
    joined = "".join(texts)
    if joined.isascii():
        data, lengths = joined.encode(), np.fromiter(map(len, texts), np.int64, len(texts))
    else:
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        data, lengths = b"".join(encoded), np.fromiter(map(len, encoded), np.int64, len(texts))
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return hash_utf8(offsets, np.frombuffer(data, np.uint8))


def hash_utf8(offsets: Offsets, data: NDArray[np.uint8]) -> Keys:
    """(n,) hashes of the texts `data[offsets[i]:offsets[i + 1]]`, the layout of an Arrow text column.

    `offsets` must not fall and must lie within `data`; IndexError when they do not. Time grows with the longest text
    of a block of rows, so it is meant for ids, not for documents.
    """
    if len(offsets) < 2:
        return np.empty(0, np.uint64)
    lengths = np.diff(offsets)
    if lengths.min() < 0 or offsets[0] < 0 or offsets[-1] > len(data):
        raise IndexError("offsets fall, or lie outside of the data")
    if lengths.min() < 8:  # the last bytes of a text are read as the end of a whole word
        offsets, data = offsets.astype(np.int64) + 8, np.concatenate([np.zeros(8, np.uint8), data])
    words: Keys = np.ndarray((len(data) - 7,), "<u8", np.ascontiguousarray(data), strides=(1,))  # from every byte on
    hashed = np.empty(len(lengths), np.uint64)
    for first in range(0, len(lengths), _ROWS):
        rows = slice(first, first + _ROWS)
        hashed[rows] = _hashed(words, offsets[:-1][rows].astype(np.int64), lengths[rows].astype(np.int64))
    return hashed


def _hashed(words: Keys, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Keys:
    hashes: Keys = lengths.astype(np.uint64) * _M
    longest = int(lengths.max())
    if int(lengths.min()) == longest:
        _hash_alike(hashes, words, int(starts[0]), longest)
    else:
        _hash_mixed(hashes, words, starts, lengths)
    hashes ^= hashes >> _R
    hashes *= _M
    hashes ^= hashes >> _R
    return hashes


def _hash_alike(hashes: Keys, words: Keys, start: int, length: int) -> None:
    """Rows of one length: every n-th word is a slice, which reads three times as fast as a list of places."""
    last = length * (len(hashes) - 1) + 1
    for place in range(start, start + length - 7, 8):
        _mix(hashes, words[place : place + last : length].copy())
    if rest := length & 7:
        place = start + length - 8
        hashes ^= words[place : place + last : length] >> np.uint64(64 - 8 * rest)
        hashes *= _M


def _hash_mixed(hashes: Keys, words: Keys, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> None:
    whole = lengths >> 3
    everywhere = int(whole.min())
    for number in range(everywhere):
        _mix(hashes, words[starts + 8 * number])
    for number in range(everywhere, int(whole.max())):
        rows = np.flatnonzero(whole > number)
        some = hashes[rows]
        _mix(some, words[starts[rows] + 8 * number])
        hashes[rows] = some
    rest = lengths & 7
    rows = np.flatnonzero(rest)
    last = words[(starts + lengths)[rows] - 8] >> ((8 - rest[rows]) << 3).astype(np.uint64)
    hashes[rows] = (hashes[rows] ^ last) * _M


def _mix(hashes: Keys, words: Keys) -> None:
    """One word of every row into its hash; both arrays change."""
    words *= _M
    words ^= words >> _R
    words *= _M
    hashes ^= words
    hashes *= _M
