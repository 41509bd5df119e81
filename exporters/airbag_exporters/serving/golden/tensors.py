"""TensorFlow's TensorProto without numpy, which costs a process 11 MiB: for requests of a few thousand values."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from airbag.errors import Garbled
from airbag.serving.proto import tfs_pb2
from airbag.serving.proto.tfs_pb2 import DataType, TensorProto
from airbag_exporters.serving.golden.values import Element, Values

MAX_ELEMENTS = 1 << 22
"""A few bytes can claim a huge tensor, because the last value stands for all that follow. Beyond this: Garbled."""

_KINDS: dict[DataType, tuple[str, str]] = {
    tfs_pb2.DT_FLOAT: ("f", "float_val"),
    tfs_pb2.DT_DOUBLE: ("d", "double_val"),
    tfs_pb2.DT_HALF: ("e", "half_val"),
    tfs_pb2.DT_INT8: ("b", "int_val"),
    tfs_pb2.DT_INT16: ("h", "int_val"),
    tfs_pb2.DT_INT32: ("i", "int_val"),
    tfs_pb2.DT_INT64: ("q", "int64_val"),
    tfs_pb2.DT_UINT8: ("B", "int_val"),
    tfs_pb2.DT_UINT16: ("H", "int_val"),
    tfs_pb2.DT_UINT32: ("I", "uint32_val"),
    tfs_pb2.DT_UINT64: ("Q", "uint64_val"),
    tfs_pb2.DT_BOOL: ("?", "bool_val"),
}
"""The struct code of each type, and the field in which its values may come instead of as bytes."""


def encode(values: Values, dtype: DataType) -> TensorProto:
    """The message; ValueError when that type cannot hold the values."""
    shape = tfs_pb2.TensorShapeProto(dim=[tfs_pb2.TensorShapeProto.Dim(size=size) for size in values.shape])
    if dtype == tfs_pb2.DT_STRING:
        texts = [text for text in values.flat if isinstance(text, bytes)]
        if len(texts) < len(values.flat):
            raise ValueError("it takes texts, not numbers")
        return TensorProto(dtype=dtype, tensor_shape=shape, string_val=texts)
    if dtype not in _KINDS:
        raise ValueError(f"it is of type {type_name(dtype)}, which golden requests cannot have")
    if any(isinstance(element, bytes) for element in values.flat):
        raise ValueError(f"it takes {type_name(dtype)}, not texts")
    if dtype == tfs_pb2.DT_BOOL and not all(isinstance(element, bool) for element in values.flat):
        raise ValueError("it takes true and false, not numbers")
    try:
        content = struct.pack(f"<{len(values.flat)}{_KINDS[dtype][0]}", *values.flat)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"it takes {type_name(dtype)}, which cannot hold the values: {error}") from error
    return TensorProto(dtype=dtype, tensor_shape=shape, tensor_content=content)


def decode(tensor: TensorProto) -> Values:
    """The values in a message, whichever of its two forms the server chose. Garbled when it contradicts itself."""
    shape = shape_of(tensor)
    count = math.prod(shape)
    if tensor.dtype == tfs_pb2.DT_STRING:
        return Values(shape, _filled(list(tensor.string_val), count, b""))
    if tensor.dtype not in _KINDS:
        raise Garbled(f"a tensor of type {type_name(tensor.dtype)}, which golden requests cannot compare")
    code, field = _KINDS[tensor.dtype]
    packed = struct.Struct(f"<{count}{code}")
    if tensor.tensor_content:
        if len(tensor.tensor_content) != packed.size:
            raise Garbled(f"a {type_name(tensor.dtype)} of shape {shape} in {len(tensor.tensor_content)} bytes")
        return Values(shape, packed.unpack(tensor.tensor_content))
    values: list[Element] = list(getattr(tensor, field))
    if tensor.dtype == tfs_pb2.DT_HALF:  # the 16 bits of each value, as integers
        values = [struct.unpack("<e", struct.pack("<H", int(bits) & 0xFFFF))[0] for bits in values]
    return Values(shape, _filled(values, count, False if tensor.dtype == tfs_pb2.DT_BOOL else 0))


def shape_of(tensor: TensorProto) -> tuple[int, ...]:
    """The shape; Garbled when it is none or holds more than MAX_ELEMENTS."""
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if tensor.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise Garbled("a tensor without a complete shape")
    if math.prod(shape) > MAX_ELEMENTS:
        raise Garbled(f"a tensor of shape {shape}: more than the {MAX_ELEMENTS} elements of a golden request")
    return shape


def is_float(dtype: DataType) -> bool:
    """Whether values of that type are rounded, so that they are compared with a tolerance."""
    return dtype in (tfs_pb2.DT_FLOAT, tfs_pb2.DT_DOUBLE, tfs_pb2.DT_HALF)


def type_name(dtype: DataType) -> str:
    """As people write it: `float`, `int64`."""
    return tfs_pb2.DataType.Name(dtype)[3:].lower() if dtype in tfs_pb2.DataType.values() else f"type {dtype}"


def _filled(values: Sequence[Element], count: int, empty: Element) -> tuple[Element, ...]:
    """TensorFlow's rule: values that are missing at the end equal the last one, and none at all means zeros."""
    if len(values) > count:
        raise Garbled(f"a tensor of {count} elements with {len(values)} values")
    return (*values, *[values[-1] if values else empty] * (count - len(values)))
