"""A replica's snapshot as tables of series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from airbag.errors import Garbled
from airbag_exporters.quality.aggregate.catalog import Key, Table
from airbag_exporters.quality.columns import Owner
from airbag_exporters.quality.counting import Block, families
from airbag_exporters.quality.counting.slices import Part, bins
from airbag_exporters.quality.reference.value import Numeric, Reference
from airbag_exporters.quality.render import Snapshot
from airbag_exporters.quality.render.reference import CATEGORY, LE, MISSING, profiles

_UNUSED = (
    families.OUTCOMES, families.SEGMENT_PREDICTIONS, families.SEGMENT_LABELLED, families.SEGMENT_ERROR,
    families.LABEL_DELAY, families.CLIENT_LATENCY, families.TER_SENTENCES, families.LABELS,
)  # fmt: skip
USED = tuple(family for family in families.COUNTED if family not in _UNUSED)
"""The families that a record rests on."""

LABELS: Mapping[str, tuple[str, ...]] = {family.name: family.labels for family in USED}


@dataclass(frozen=True, eq=False)
class Told:
    """What one replica told at one time."""

    snapshot: Snapshot
    counters: Table
    reference: Table


def told(snapshot: Snapshot, before: Told | None = None) -> Told:
    """A snapshot with its series by name. Those that are the same as `before` are its very objects.

    Garbled when its series do not have the labels that theirs should have, or counters are no numbers.
    """
    return Told(snapshot, _counters(snapshot, before), _reference(snapshot, before))


def _counters(snapshot: Snapshot, before: Told | None) -> Table:
    blocks = snapshot.blocks
    same = before is not None and _layouts(blocks) == _layouts(before.snapshot.blocks)
    keys = before.counters.keys if before and same else tuple(key for o, b in blocks.items() for key in _keys(o, b))
    if not same and any(len(key) != 1 + len(LABELS[key[0]]) for key in keys):
        raise Garbled("the snapshot has series with more or fewer labels than their family")
    parts = [block.of(part.family, part.suffix) for block in blocks.values() for part in _used(block)]
    values = np.concatenate([np.empty(0), *parts])
    if not np.isfinite(values).all():
        raise Garbled("the snapshot has counters that are no numbers")
    return Table(keys, values)


def _layouts(blocks: Mapping[Owner, Block]) -> list[tuple[Owner, tuple[Part, ...]]]:
    return [(owner, block.layout.parts) for owner, block in blocks.items()]


def _used(block: Block) -> list[Part]:
    return [part for part in block.layout.parts if part.family in USED]


def _keys(owner: Owner, block: Block) -> list[Key]:
    return [(part.family.name, *owner, *row) for part in _used(block) for row in part.rows]


def _reference(snapshot: Snapshot, before: Told | None) -> Table:
    if before is not None and before.snapshot.references == snapshot.references:
        return before.reference
    series = {key: count for owner, each in snapshot.references.items() for key, count in _series(owner, each).items()}
    return Table(tuple(series), np.array(list(series.values()), np.float64))


def _series(owner: Owner, reference: Reference) -> dict[Key, float]:
    """The counts of a reference by the labels that they have on its page, and its shares of missing values."""
    found: dict[Key, float] = {}
    for name, profile in profiles(reference).items():
        feature = (*owner, name, reference.ref)
        if isinstance(profile, Numeric):
            labels = bins(len(profile.le))
            found |= {(LE.name, *feature, *each): n for each, n in zip(labels, (0, *profile.le), strict=True)}
        else:
            counts = {**profile.counts, "other": profile.other}
            found |= {(CATEGORY.name, *feature, category): n for category, n in counts.items()}
        if rows := profile.rows + profile.missing:
            found[MISSING.name, *feature] = profile.missing / rows
    return found
