"""What clients can ask of a version, in a form that can be hashed and compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from airbag.serving.proto.tfs_pb2 import DataType, SignatureDef, TensorInfo

_INTERNAL = "__saved_model_"
"""How the signatures begin that TensorFlow keeps for itself: no client calls them."""


@dataclass(frozen=True)
class Tensor:
    """A tensor as clients see it. `shape` has -1 for any length, and is None when even the rank is open."""

    dtype: str
    shape: tuple[int, ...] | None

    def may_be(self, other: Tensor) -> bool:
        """Whether nothing but lengths or a rank that one of the two leaves open tells them apart."""
        if self.dtype != other.dtype:
            return False
        if self.shape is None or other.shape is None:
            return True
        lengths = zip(self.shape, other.shape, strict=False)
        return len(self.shape) == len(other.shape) and all(a == b or min(a, b) < 0 for a, b in lengths)

    def __str__(self) -> str:
        shape = "..." if self.shape is None else ",".join("?" if size < 0 else str(size) for size in self.shape)
        return f"{self.dtype}[{shape}]"


@dataclass(frozen=True)
class Signature:
    """One way to ask. The names inside the graph are left out: they change with every export."""

    method: str
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]


@dataclass(frozen=True)
class Signatures:
    """All signatures of a version by name."""

    by_name: Mapping[str, Signature]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the JSON `[[NAME, METHOD, [[INPUT, DTYPE, SHAPE], ...], [[OUTPUT, ...], ...]], ...]`.

        Sorted by name, without blanks, ASCII; SHAPE is null when the rank is open.
        """
        told = [
            [name, each.method, _told(each.inputs), _told(each.outputs)] for name, each in sorted(self.by_name.items())
        ]
        return hashlib.sha256(json.dumps(told, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class Difference:
    """How a version differs from the one that serves, in words; `breaks` when clients of the latter would notice.

    `is_open`: they need not, since the two differ only in a shape that one of them leaves open.
    """

    text: str
    breaks: bool
    is_open: bool = False


def of_map(signatures: Mapping[str, SignatureDef]) -> Signatures:
    """The same for `saved_model.pb` and for what a server answers (`Reader.signatures(...).signature_def`)."""
    return Signatures(
        {
            name: Signature(each.method_name, _tensors(each.inputs), _tensors(each.outputs))
            for name, each in signatures.items()
            if not name.startswith(_INTERNAL)
        }
    )


def differences(serving: Signatures, other: Signatures) -> tuple[Difference, ...]:
    """What a client written for `serving` finds different in `other`. Empty when they are the same.

    An added signature or output breaks nobody. Everything else does: an added input too, which the client does not
    send, and any other shape, also a wider one.
    """
    return tuple(_between(serving.by_name, other.by_name))


def compatible(serving: Signatures, other: Signatures) -> bool:
    """Whether clients of `serving` can go on with `other`."""
    return not any(each.breaks for each in differences(serving, other))


def _between(old: Mapping[str, Signature], new: Mapping[str, Signature]) -> Iterator[Difference]:
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield Difference(f"signature {name} was removed", breaks=True)
        elif name not in old:
            yield Difference(f"signature {name} was added", breaks=False)
        else:
            before, after = old[name], new[name]
            if before.method != after.method:
                yield Difference(f"{name}: method changed from {before.method} to {after.method}", breaks=True)
            yield from _tensors_between(name, "input", before.inputs, after.inputs)
            yield from _tensors_between(name, "output", before.outputs, after.outputs)


def _tensors_between(
    signature: str, kind: str, old: Mapping[str, Tensor], new: Mapping[str, Tensor]
) -> Iterator[Difference]:
    for name in sorted(old.keys() | new.keys()):
        what = f"{signature}: {kind} {name}"
        if name not in new:
            yield Difference(f"{what} ({old[name]}) was removed", breaks=True)
        elif name not in old:
            yield Difference(f"{what} ({new[name]}) was added", breaks=kind == "input")
        elif old[name] != new[name]:
            changed = f"{what} changed from {old[name]} to {new[name]}"
            yield Difference(changed, breaks=True, is_open=old[name].may_be(new[name]))


def _tensors(infos: Mapping[str, TensorInfo]) -> dict[str, Tensor]:
    return {name: Tensor(_dtype(info.dtype), _shape(info)) for name, info in infos.items()}


def _dtype(number: int) -> str:
    if number not in DataType.values():
        return f"type{number}"
    return DataType.Name(DataType.ValueType(number)).removeprefix("DT_").lower()


def _shape(info: TensorInfo) -> tuple[int, ...] | None:
    return None if info.tensor_shape.unknown_rank else tuple(dim.size for dim in info.tensor_shape.dim)


def _told(tensors: Mapping[str, Tensor]) -> list[list[object]]:
    return [[name, each.dtype, each.shape] for name, each in sorted(tensors.items())]
