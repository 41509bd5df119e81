"""Ids become 64-bit numbers that are the same for ever and practically never the same for two ids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbag_exporters.quality.hashing import hash_text, hash_texts, hash_utf8

MASK = (1 << 64) - 1
M = 0xC6A4A7935BD1E995


def murmur64a(data: bytes) -> int:
    """MurmurHash64A with seed 0, a step at a time, as its author wrote it."""
    hashed = len(data) * M & MASK
    whole = len(data) // 8 * 8
    for start in range(0, whole, 8):
        word = int.from_bytes(data[start : start + 8], "little") * M & MASK
        word = (word ^ word >> 47) * M & MASK
        hashed = (hashed ^ word) * M & MASK
    if data[whole:]:
        hashed = (hashed ^ int.from_bytes(data[whole:], "little")) * M & MASK
    hashed = (hashed ^ hashed >> 47) * M & MASK
    return hashed ^ hashed >> 47


@given(st.lists(st.text(max_size=40), max_size=30))
def test_every_row_is_murmur_hash_64a_of_its_utf8(texts: list[str]) -> None:
    assert hash_texts(texts).tolist() == [murmur64a(text.encode()) for text in texts]


@given(st.lists(st.binary(max_size=70), max_size=30), st.sampled_from([np.int32, np.int64]), st.integers(0, 9))
def test_an_arrow_column_may_begin_anywhere_in_its_buffer(
    rows: list[bytes], width: type[np.int32 | np.int64], before: int
) -> None:
    offsets = np.cumsum([before, *map(len, rows)]).astype(width)
    data = np.frombuffer(b"x" * before + b"".join(rows) + b"behind", np.uint8)
    assert hash_utf8(offsets, data).tolist() == [murmur64a(row) for row in rows]


def test_the_numbers_never_change_because_ledgers_keep_them() -> None:
    assert hash_text("request-1") == 0xF55FA97003376B10
    assert (
        hash_text("3f0e1c9a-0000-4000-8000-000000000001")
        == hash_texts(["x", "3f0e1c9a-0000-4000-8000-000000000001"])[1]
    )


@pytest.mark.parametrize("pattern", ["{:07d}", "request-{:d}", "{:032x}", "3f0e1c9a-0000-4000-8000-{:012x}", "{:040d}"])
def test_a_million_ids_that_count_up_do_not_collide(pattern: str) -> None:
    hashed = hash_texts([pattern.format(number) for number in range(1_000_000)])
    assert len(np.unique(hashed)) == 1_000_000
    low = np.bincount((hashed & np.uint64(1023)).astype(np.intp), minlength=1024)
    high = np.bincount((hashed >> np.uint64(54)).astype(np.intp), minlength=1024)
    assert max(low.max(), high.max()) < 1.3 * 1_000_000 / 1024  # nine standard deviations


@pytest.mark.parametrize("length", [5, 8, 16, 21, 36])
def test_one_changed_bit_changes_every_bit_of_the_hash_in_half_of_all_cases(length: int) -> None:
    random = np.random.default_rng(5)
    rows = random.integers(0, 256, (2000, length), dtype=np.uint8)
    offsets = np.arange(2001, dtype=np.int64) * length
    plain = hash_utf8(offsets, rows.reshape(-1))
    for bit in range(8 * length):
        changed = rows.copy()
        changed[:, bit // 8] ^= np.uint8(1 << bit % 8)
        flipped = plain ^ hash_utf8(offsets, changed.reshape(-1))
        shares = np.unpackbits(flipped.view(np.uint8).reshape(-1, 8), axis=1).mean(axis=0)
        assert abs(shares - 0.5).max() < 0.15  # of 2000 rows, where chance alone gives 0.05


@pytest.mark.parametrize("offsets", [[0, 9], [0, 4, 3, 8], [-1, 4], [3, 2]])
def test_offsets_that_lie_are_refused_before_anything_is_read(offsets: list[int]) -> None:
    with pytest.raises(IndexError, match="offsets"):
        hash_utf8(np.array(offsets, np.int64), np.zeros(8, np.uint8))


def test_no_rows_give_no_hashes() -> None:
    assert len(hash_texts([])) == len(hash_utf8(np.zeros(1, np.int32), np.zeros(0, np.uint8))) == 0
