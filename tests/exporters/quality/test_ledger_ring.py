"""Rows in a circle and the table that finds them."""

from __future__ import annotations

import mmap

import numpy as np
import psutil
import pytest

from airbag_exporters.quality.ledger.keyindex import KeyIndex
from airbag_exporters.quality.ledger.ring import Ring
from airbag_exporters.quality.ledger.values import WAITING


def rows_of(keys: np.ndarray, since: float = 0.0) -> np.ndarray:
    rows = np.zeros(len(keys), WAITING)
    rows["key"], rows["since"], rows["score"] = keys, since, keys % np.uint64(1000)
    return rows


def test_rows_are_found_while_millions_pass_through() -> None:
    """The circle is gone round several times, the table is begun anew, and keys come again after they left."""
    random = np.random.default_rng(7)
    ring, limit = Ring(WAITING, 60_000), 50_000
    expected: dict[int, int] = {}
    order: list[int] = []
    for size in [1, 30_000, 7, 20_000, 3, 1, 9_999] * 10:
        keys = np.unique(random.integers(0, 200_000, size, dtype=np.uint64))
        known = ring.find(keys)
        assert known.tolist() == [expected.get(key, -1) for key in keys.tolist()]
        new = keys[known < 0]
        ring.drop(max(ring.head, ring.tail + len(new) - limit))
        for key in order[: max(len(order) + len(new) - limit, 0)]:
            del expected[key]
        order = order[max(len(order) + len(new) - limit, 0) :] + new.tolist()
        new = new[ring.find(new) < 0]
        expected.update(zip(new.tolist(), range(ring.tail, ring.tail + len(new)), strict=True))
        ring.add(rows_of(new), np.zeros(len(new), np.uint8))
    assert ring.tail > 400_000
    held = np.array(list(expected), np.uint64)
    assert ring.find(held).tolist() == list(expected.values())
    taken = ring.take(ring.find(held))
    assert (taken["key"] == held).all()
    assert (taken["score"] == held % np.uint64(1000)).all()


def test_flags_stay_with_their_rows_around_the_end_of_the_circle() -> None:
    ring = Ring(WAITING, 100)
    for first in range(0, 400_000, 1000):
        keys = np.arange(first, first + 1000, dtype=np.uint64)
        ring.add(rows_of(keys), np.zeros(1000, np.uint8))
        ring.flag(ring.find(keys[::7]), 1)
        ring.drop(ring.tail - 3000 if ring.tail > 3000 else 0)
        flags = ring.flags(max(ring.tail - 2000, ring.head), ring.tail)
        assert flags.sum() == len(range(0, 1000, 7)) * (2 if first else 1)


def test_hidden_rows_are_not_found_and_their_keys_come_again() -> None:
    ring = Ring(WAITING, 100, hidden=1)
    key = np.array([5], np.uint64)
    for _ in range(3000):
        assert ring.find(key).tolist() == [-1]
        ring.add(rows_of(key), np.zeros(1, np.uint8))
        assert ring.find(key).tolist() == [ring.tail - 1]
        ring.flag(ring.find(key), 1)


def test_keys_that_differ_in_a_few_bits_only_are_all_found() -> None:
    for shift in range(0, 48, 8):
        keys = np.arange(10_000, dtype=np.uint64) << np.uint64(shift)
        index = KeyIndex(keys, lambda places: np.ones(len(places), np.bool_))
        assert not index.is_crowded_by(2000)
        index.clear(len(keys))
        index.add(keys, np.arange(len(keys)))
        assert index.find(keys[::-1].copy()).tolist() == list(range(len(keys)))[::-1]
        assert (index.find(keys + np.uint64(1 << 63)) == -1).all()


@pytest.mark.parametrize(
    ("since", "before", "keep", "at_most", "due"),
    [
        ([1, 2, 3, 9, 4], 3, 100, 100, 3),
        ([1, 2, 3, 9, 4], 0.5, 100, 100, 0),
        ([1, 1, 1, 1, 1], 1, 100, 3, 3),
        ([1, 2, 3, 9, 4], 2, 1, 100, 4),
        ([9, 9, 9, 9, 9], 2, 1, 2, 2),
        ([], 2, 1, 2, 0),
    ],
)
def test_what_is_due_is_the_oldest_until_one_is_young_and_all_beyond_the_bound(
    since: list[float], before: float, keep: int, at_most: int, due: int
) -> None:
    ring = Ring(WAITING, 100)
    rows = rows_of(np.arange(len(since), dtype=np.uint64))
    rows["since"] = since
    ring.add(rows, np.zeros(len(since), np.uint8))
    assert ring.due(before, keep, at_most) == due


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="this system cannot give memory back in parts")
def test_memory_goes_back_when_rows_leave() -> None:
    ring, process = Ring(WAITING, 4_000_000), psutil.Process()
    before = process.memory_info().rss
    for first in range(0, 1_000_000, 50_000):
        ring.add(rows_of(np.arange(first, first + 50_000, dtype=np.uint64)), np.zeros(50_000, np.uint8))
    full = process.memory_info().rss
    ring.drop(ring.tail)
    emptied = process.memory_info().rss
    assert full - before > 50 * 2**20
    assert full - emptied > 50 * 2**20


def test_every_key_of_a_huge_batch_is_found() -> None:
    ring = Ring(WAITING, 700_000)
    keys = np.random.default_rng(3).integers(0, 1 << 64, 600_000, dtype=np.uint64)
    ring.add(rows_of(keys), np.zeros(len(keys), np.uint8))
    assert (ring.find(keys) == np.arange(len(keys))).all()
