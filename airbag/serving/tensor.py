"""numpy arrays to TensorFlow's TensorProto and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from airbag.errors import Garbled
from airbag.serving.proto import tfs_pb2
from airbag.serving.proto.tfs_pb2 import DataType, TensorProto

Array = npt.NDArray[Any]  # Any: the model decides the type of its tensors

MAX_ELEMENTS = 1 << 28
"""A few bytes can claim a huge tensor, because the last value stands for all that follow. Beyond this: Garbled."""

_KINDS: dict[DataType, tuple[str, str]] = {
    tfs_pb2.DT_FLOAT: ("<f4", "float_val"),
    tfs_pb2.DT_DOUBLE: ("<f8", "double_val"),
    tfs_pb2.DT_HALF: ("<f2", "half_val"),
    tfs_pb2.DT_INT8: ("<i1", "int_val"),
    tfs_pb2.DT_INT16: ("<i2", "int_val"),
    tfs_pb2.DT_INT32: ("<i4", "int_val"),
    tfs_pb2.DT_INT64: ("<i8", "int64_val"),
    tfs_pb2.DT_UINT8: ("<u1", "int_val"),
    tfs_pb2.DT_UINT16: ("<u2", "int_val"),
    tfs_pb2.DT_UINT32: ("<u4", "uint32_val"),
    tfs_pb2.DT_UINT64: ("<u8", "uint64_val"),
    tfs_pb2.DT_BOOL: ("|b1", "bool_val"),
}
_BY_DTYPE = {np.dtype(dtype): kind for kind, (dtype, _) in _KINDS.items()}


def to_proto(array: Array) -> TensorProto:
    """The message for an array of numbers, booleans, `bytes` or `str` (sent as UTF-8). ValueError for other types.

    Numbers travel as `tensor_content`, which costs one copy instead of one Python object per value.
    """
    shape = tfs_pb2.TensorShapeProto(dim=[tfs_pb2.TensorShapeProto.Dim(size=size) for size in array.shape])
    if array.dtype.kind in "OSU":
        return TensorProto(dtype=tfs_pb2.DT_STRING, tensor_shape=shape, string_val=[_bytes(x) for x in array.flat])
    little = array.dtype.newbyteorder("<")
    if little not in _BY_DTYPE:
        raise ValueError(f"TensorFlow Serving takes no array of {array.dtype}")
    return TensorProto(dtype=_BY_DTYPE[little], tensor_shape=shape, tensor_content=array.astype(little).tobytes())


def from_proto(tensor: TensorProto) -> Array:
    """The array in a message, whichever of its two forms the server chose. Garbled when it contradicts itself."""
    shape = _shape(tensor)
    if tensor.dtype == tfs_pb2.DT_STRING:
        return _filled(list(tensor.string_val), shape, np.dtype(object), b"")
    if tensor.dtype not in _KINDS:
        raise Garbled(f"a tensor of data type {tensor.dtype}, which Airbag does not read")
    code, field = _KINDS[tensor.dtype]
    dtype = np.dtype(code)
    if tensor.tensor_content:
        if len(tensor.tensor_content) != math.prod(shape) * dtype.itemsize:
            raise Garbled(f"a tensor of shape {shape} and type {dtype} with {len(tensor.tensor_content)} bytes")
        return np.frombuffer(tensor.tensor_content, dtype).reshape(shape).copy()
    values: Sequence[object] = getattr(tensor, field)
    if tensor.dtype == tfs_pb2.DT_HALF:  # the 16 bits of each value, as integers
        return _filled(values, shape, np.dtype("<u2"), 0).view("<f2")
    return _filled(values, shape, dtype, 0)


def _bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    raise ValueError(f"TensorFlow Serving takes no array of {type(value).__name__} objects")


def _shape(tensor: TensorProto) -> tuple[int, ...]:
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if tensor.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise Garbled("a tensor without a complete shape")
    if math.prod(shape) > MAX_ELEMENTS:
        raise Garbled(f"a tensor of shape {shape}: more than {MAX_ELEMENTS} elements")
    return shape


def _filled(values: Sequence[object], shape: tuple[int, ...], dtype: np.dtype[np.generic], empty: object) -> Array:
    """TensorFlow's rule: values that are missing at the end equal the last one, and none at all means zeros."""
    count = math.prod(shape)
    if len(values) > count:
        raise Garbled(f"a tensor of shape {shape} with {len(values)} values")
    try:
        array = np.full(count, values[-1] if values else empty, dtype)
        array[: len(values)] = np.array(values, dtype)
    except (OverflowError, ValueError) as error:
        raise Garbled(f"a tensor of type {dtype} with values that it cannot hold: {error}") from error
    return array.reshape(shape)
