"""TensorFlow's names of data types."""

from __future__ import annotations

from typing import Any

from tensorflow.core.framework import types_pb2
from tensorflow.python.framework import dtypes


def enum_name(array: Any) -> str:
    """The type of an array's values, as in `DT_FLOAT`."""
    name: str = types_pb2.DataType.Name(dtypes.as_dtype(array.dtype).as_datatype_enum)
    return name


def short_name_of(array: Any) -> str:
    """The same, as in `float`."""
    return short_name(types_pb2.DataType.Value(enum_name(array)))


def short_name(dtype: int) -> str:
    """As in `float`."""
    name: str = types_pb2.DataType.Name(dtype)
    return name.removeprefix("DT_").lower()
