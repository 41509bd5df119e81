"""What a version's saved_model.pb says about itself, read without its graph.

The graph can be gigabytes. Only the tags and the signatures are read into memory; the rest is skipped by its length,
so a file that was cut short is found out and one with damaged weights in the graph is not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from airbag.errors import AirbagError
from airbag.repository.signatures import Signatures, of_map
from airbag.serving.proto.tfs_pb2 import MetaGraphDef, SavedModel

BINARY, TEXT, CHUNKED = "saved_model.pb", "saved_model.pbtxt", "saved_model.cpb"
TAGS = frozenset({"serve"})
"""TensorFlow Serving loads the graph with exactly these tags, unless it was started with --saved_model_tags."""

_META_GRAPHS = 2  # SavedModel
_META_INFO, _SIGNATURES, _OBJECT_GRAPH = 1, 5, 7  # MetaGraphDef
_PART_MAX = 16 << 20
_TEXT_MAX = 64 << 20
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class NotAModel(AirbagError):
    """The file is no SavedModel that TensorFlow Serving could load; the message says why, without the file's name."""

    reason = "saved_model"


@dataclass(frozen=True)
class Model:
    """What is known from the file. `signatures` is None where it cannot be looked into (`saved_model.cpb`).

    `has_objects`: TensorFlow 2 saved it, and then there always is a `variables` folder.
    """

    signatures: Signatures | None
    has_objects: bool = False


def read_model(path: Path) -> Model:
    """Read one of the three forms of the file. NotAModel, or OSError when it cannot be read."""
    if path.name == CHUNKED:
        return Model(None)
    if path.stat().st_size == 0:
        raise NotAModel("is empty")
    graphs = _text(path) if path.name == TEXT else _binary(path)
    for graph, has_objects in graphs:
        if frozenset(graph.meta_info_def.tags) == TAGS:
            return Model(of_map(graph.signature_def), has_objects)
    tags = ", ".join("{" + " ".join(sorted(graph.meta_info_def.tags)) + "}" for graph, _ in graphs) or "no graph"
    raise NotAModel(f"has no graph with the tag `serve` alone; it has {tags}")


def _text(path: Path) -> list[tuple[MetaGraphDef, bool]]:
    if path.stat().st_size > _TEXT_MAX:
        raise NotAModel(f"is larger than {_TEXT_MAX >> 20} MiB; save it as {BINARY}")
    try:
        model = text_format.Parse(path.read_text(encoding="utf-8"), SavedModel(), allow_unknown_field=True)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise NotAModel(f"does not parse: {error}") from error
    return [(graph, False) for graph in model.meta_graphs]


def _binary(path: Path) -> list[tuple[MetaGraphDef, bool]]:
    graphs = []
    with path.open("rb") as file:
        for number, _, start, stop in _fields(file, 0, os.fstat(file.fileno()).st_size):
            if number == _META_GRAPHS:
                graphs.append(_graph(file, start, stop))
    return graphs


def _graph(file: BinaryIO, start: int, stop: int) -> tuple[MetaGraphDef, bool]:
    data, has_objects = bytearray(), False
    for number, begin, _, end in _fields(file, start, stop):
        has_objects |= number == _OBJECT_GRAPH
        if number in (_META_INFO, _SIGNATURES):
            if end - begin + len(data) > _PART_MAX:
                raise NotAModel(f"does not parse: its signatures are larger than {_PART_MAX >> 20} MiB")
            file.seek(begin)
            data += file.read(end - begin)
    try:
        return MetaGraphDef.FromString(bytes(data)), has_objects
    except DecodeError as error:
        raise NotAModel(f"does not parse: {error}") from error


def _fields(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of the message in [start, stop): number, where its key begins, where its value begins and ends."""
    at = start
    while at < stop:
        file.seek(at)
        key, size = _varint(file)
        begin = at + size
        match key & 7:
            case wire if wire == _VARINT:
                end = begin + _varint(file)[1]
            case wire if wire == _BYTES:
                length, size = _varint(file)
                begin += size
                end = begin + length
            case wire if wire in (_FIXED64, _FIXED32):
                end = begin + (8 if wire == _FIXED64 else 4)
            case _:
                raise NotAModel(f"does not parse: no protocol buffer at byte {at}")
        if end > stop or key >> 3 == 0:
            raise NotAModel(f"does not parse: it is damaged or was cut short at byte {at}")
        yield key >> 3, at, begin, end
        at = end


def _varint(file: BinaryIO) -> tuple[int, int]:
    """A number and how many bytes it took."""
    value = 0
    for size in range(10):
        byte = file.read(1)
        if not byte:
            raise NotAModel("does not parse: it was cut short")
        value |= (byte[0] & 0x7F) << (7 * size)
        if byte[0] < 0x80:
            return value, size + 1
    raise NotAModel("does not parse: no protocol buffer")
