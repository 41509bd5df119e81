"""A snapshot travels to the aggregator and comes out as it was."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from airbag_exporters.quality.columns import Owner
from airbag_exporters.quality.counting import Block, Layout, ModelLayout, merged
from airbag_exporters.quality.render import (
    BadSnapshot,
    Snapshot,
    decode_snapshot,
    encode_snapshot,
    metrics_page,
    reference_page,
)
from tests.exporters.quality.counted import numeric, reference_of, spec_of

REFERENCE = reference_of({"größe": numeric([0.0, 9.0], [3.0])})
SPEC = spec_of(reference=REFERENCE, segments={"region": ("nörd",)})
FIRST, SECOND = Owner("edge", "churn", "1"), Owner("edge", "churn", "2")


def snapshot() -> Snapshot:
    blocks = {owner: Block(Layout.of(SPEC, owner)) for owner in (FIRST, SECOND)}
    blocks[FIRST].ints += np.arange(len(blocks[FIRST].ints))
    blocks[SECOND].floats += 0.1
    labels = {("edge", "churn"): Block(ModelLayout.of("edge", "churn"))}
    labels["edge", "churn"].count_labels("duplicate", 3)
    return Snapshot(
        blocks, labels, {SECOND: "stable"}, {FIRST: REFERENCE}, {("edge", "churn"): "binary"},
        {("edge", "churn"): {"accuracy_min": 0.9, "labels_min": 50.0}}, 4,
    )  # fmt: skip


def test_both_pages_of_what_arrives_are_those_of_what_was_sent() -> None:
    sent = snapshot()
    arrived = decode_snapshot(encode_snapshot(sent))
    assert b"".join(metrics_page(arrived)) == b"".join(metrics_page(sent))
    assert b"".join(reference_page(arrived)) == b"".join(reference_page(sent))
    assert arrived.pending == 4


def test_counters_of_replicas_can_be_added_up() -> None:
    one, other = decode_snapshot(encode_snapshot(snapshot())), decode_snapshot(encode_snapshot(snapshot()))
    total = merged([one.blocks[FIRST], other.blocks[FIRST]])
    np.testing.assert_array_equal(total.ints, 2 * snapshot().blocks[FIRST].ints)


def test_a_layout_travels_once_for_all_versions_that_share_it() -> None:
    sent = snapshot()
    alone = len(encode_snapshot(Snapshot({FIRST: sent.blocks[FIRST]})))
    both = len(encode_snapshot(Snapshot(sent.blocks)))
    block = sent.blocks[FIRST]
    assert both - alone < 8 * (len(block.ints) + len(block.floats)) + 100


def test_an_empty_snapshot_travels() -> None:
    assert decode_snapshot(encode_snapshot(Snapshot())) == Snapshot()


@pytest.mark.parametrize("end", [0, 1, 50, -1])
def test_bytes_that_are_cut_short_are_refused(end: int) -> None:
    with pytest.raises(BadSnapshot):
        decode_snapshot(encode_snapshot(snapshot())[:end])


def test_a_snapshot_of_a_later_version_says_so() -> None:
    later = msgspec.msgpack.decode(encode_snapshot(snapshot())) | {"format": 3}
    with pytest.raises(BadSnapshot, match="format 3; this version reads 2"):
        decode_snapshot(msgspec.msgpack.encode(later))


def test_counters_that_do_not_fit_their_layout_are_refused() -> None:
    wrong = msgspec.msgpack.decode(encode_snapshot(snapshot()))
    for name, value in (("ints", b"\0" * 8), ("ints", b"\0" * 7)):
        wrong["blocks"][0][2 if name == "ints" else 3] = value
        with pytest.raises(BadSnapshot):
            decode_snapshot(msgspec.msgpack.encode(wrong))


def test_a_threshold_that_nobody_knows_is_not_shown() -> None:
    later = msgspec.msgpack.decode(encode_snapshot(snapshot()))
    later["expected"][0][1]["luck_min"] = 0.5
    assert decode_snapshot(msgspec.msgpack.encode(later)).expected == snapshot().expected


def test_a_family_or_a_layout_that_nobody_knows_is_refused() -> None:
    wrong = msgspec.msgpack.decode(encode_snapshot(snapshot()))
    wrong["layouts"][0][0][0] = "airbag_quality_luck_total"
    with pytest.raises(BadSnapshot):
        decode_snapshot(msgspec.msgpack.encode(wrong))
    wrong = msgspec.msgpack.decode(encode_snapshot(snapshot()))
    wrong["blocks"][0][1] = 99
    with pytest.raises(BadSnapshot):
        decode_snapshot(msgspec.msgpack.encode(wrong))
