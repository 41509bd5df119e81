"""All that is shown of a process, as one value; and how it travels to the aggregator.

On the wire it is one msgpack map. Layouts stand in it once each, without the names of their owner, and every owner
refers to its own by number; counters are little-endian int64 and float64 arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
import numpy as np

from airbag.errors import AirbagError
from airbag_exporters.quality.columns import Owner
from airbag_exporters.quality.counting import Block, Layout, ModelLayout, families
from airbag_exporters.quality.counting.slices import Part, Shape, Slices
from airbag_exporters.quality.reference.value import Reference
from airbag_exporters.quality.render.thresholds import THRESHOLDS

ModelName = tuple[str, str]
"""Serving and model."""

FORMAT = 2


class BadSnapshot(AirbagError):
    """Bytes that are no snapshot, or one of a version that we do not know."""

    reason = "snapshot"


@dataclass(frozen=True)
class Snapshot:
    """What one process knows at one moment; nobody changes it, nor the blocks in it.

    `blocks` are the counters of every version, `labels` those of every model (ModelLayout). `roles` are "stable" and
    "candidate", `kinds` a model's kind, `expected` its thresholds by their key in exporters.yml. `pending` is how many
    predictions wait for their label.
    """

    blocks: Mapping[Owner, Block] = field(default_factory=dict)
    labels: Mapping[ModelName, Block] = field(default_factory=dict)
    roles: Mapping[Owner, str] = field(default_factory=dict)
    references: Mapping[Owner, Reference] = field(default_factory=dict)
    kinds: Mapping[ModelName, str] = field(default_factory=dict)
    expected: Mapping[ModelName, Mapping[str, float]] = field(default_factory=dict)
    pending: int = 0


class _Part(msgspec.Struct, array_like=True):
    family: str
    rows: tuple[tuple[str, ...], ...]
    is_float: bool
    suffix: str


class _Counters(msgspec.Struct, array_like=True):
    names: tuple[str, ...]
    layout: int
    ints: bytes
    floats: bytes


class _Snapshot(msgspec.Struct):
    format: int
    layouts: list[tuple[_Part, ...]]
    blocks: list[_Counters]
    labels: list[_Counters]
    roles: list[tuple[tuple[str, str, str], str]]
    references: list[tuple[tuple[str, str, str], int]]
    profiles: list[bytes]
    kinds: list[tuple[ModelName, str]]
    expected: list[tuple[ModelName, Mapping[str, float]]]
    pending: int


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """As msgpack."""
    layouts: dict[int, tuple[int, Shape]] = {}
    references = {id(each): each for each in snapshot.references.values()}
    numbers = {key: number for number, key in enumerate(references)}
    blocks = [_packed(layouts, block) for block in snapshot.blocks.values()]
    labels = [_packed(layouts, block) for block in snapshot.labels.values()]
    return msgspec.msgpack.encode(
        _Snapshot(
            FORMAT,
            [tuple(map(_told, shape.parts)) for _, shape in layouts.values()],
            blocks,
            labels,
            list(snapshot.roles.items()),
            [(owner, numbers[id(each)]) for owner, each in snapshot.references.items()],
            [each.model_dump_json().encode() for each in references.values()],
            list(snapshot.kinds.items()),
            list(snapshot.expected.items()),
            snapshot.pending,
        )
    )


def decode_snapshot(data: bytes) -> Snapshot:
    """What was encoded; its layouts cannot be counted into. BadSnapshot when the bytes cannot be understood."""
    try:
        read = msgspec.msgpack.decode(data, type=_Snapshot)
        if read.format != FORMAT:
            raise BadSnapshot(f"a snapshot of format {read.format}; this version reads {FORMAT}")
        layouts = [Shape(tuple(map(_part, parts))) for parts in read.layouts]
        profiles = [Reference.model_validate_json(each) for each in read.profiles]
        return Snapshot(
            {Owner(*each.names): _unpacked(Layout(each.names, layouts[each.layout]), each) for each in read.blocks},
            {
                _model(each.names): _unpacked(ModelLayout(each.names, layouts[each.layout]), each)
                for each in read.labels
            },
            _by_owner(read.roles),
            _by_owner([(owner, profiles[number]) for owner, number in read.references]),
            dict(read.kinds),
            {model: _known(expected) for model, expected in read.expected},
            read.pending,
        )
    except (msgspec.DecodeError, KeyError, IndexError, ValueError, TypeError) as error:
        raise BadSnapshot(f"not a snapshot: {error}") from error


_FAMILIES = {family.name: family for family in families.COUNTED}
Value = TypeVar("Value")


def _packed(layouts: dict[int, tuple[int, Shape]], block: Block) -> _Counters:
    shape = block.layout.shape
    number, _ = layouts.setdefault(id(shape), (len(layouts), shape))
    ints, floats = block.ints.astype("<i8", copy=False), block.floats.astype("<f8", copy=False)
    return _Counters(block.layout.names, number, ints.tobytes(), floats.tobytes())


def _told(part: Part) -> _Part:
    return _Part(part.family.name, part.rows, part.is_float, part.suffix)


def _part(part: _Part) -> Part:
    return Part(_FAMILIES[part.family], part.rows, part.is_float, part.suffix)


def _unpacked(layout: Slices, counters: _Counters) -> Block:
    ints, floats = np.frombuffer(counters.ints, "<i8").copy(), np.frombuffer(counters.floats, "<f8").copy()
    if (len(ints), len(floats)) != layout.shape.sizes:
        raise ValueError(f"{len(ints)} and {len(floats)} counters where {layout.shape.sizes} are expected")
    return Block(layout, ints, floats)


def _model(names: tuple[str, ...]) -> ModelName:
    serving, model = names
    return serving, model


def _known(expected: Mapping[str, float]) -> Mapping[str, float]:
    return {key: expected[key] for key in THRESHOLDS if key in expected}


def _by_owner(pairs: Sequence[tuple[tuple[str, str, str], Value]]) -> dict[Owner, Value]:
    return {Owner(*names): value for names, value in pairs}
