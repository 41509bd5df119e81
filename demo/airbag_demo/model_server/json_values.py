"""One JSON value as one tensor value, and back: every type that a tensor may have."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from tensorflow.core.framework import types_pb2

from airbag_demo.model_server.data_types import short_name
from airbag_demo.model_server.json_text import bad_value, shown, type_name
from airbag_demo.model_server.json_writer import decimal, string
from airbag_demo.model_server.status import Code, StatusError, invalid

_FLOATS: dict[int, tuple[Any, str]] = {  # Any: numpy's scalar types have no common one that takes a number
    types_pb2.DT_FLOAT: (np.float32, "float_val"),
    types_pb2.DT_DOUBLE: (np.float64, "double_val"),
}
_INTEGERS = {
    types_pb2.DT_INT8: ("int_val", -(2**31), 2**31),
    types_pb2.DT_INT16: ("int_val", -(2**31), 2**31),
    types_pb2.DT_INT32: ("int_val", -(2**31), 2**31),
    types_pb2.DT_UINT8: ("int_val", -(2**31), 2**31),
    types_pb2.DT_INT64: ("int64_val", -(2**63), 2**63),
    types_pb2.DT_UINT32: ("uint32_val", 0, 2**32),
    types_pb2.DT_UINT64: ("uint64_val", 0, 2**64),
}
_FIELDS = {
    **{dtype: found[0] for dtype, found in _INTEGERS.items()},
    **{dtype: found[1] for dtype, found in _FLOATS.items()},
    types_pb2.DT_STRING: "string_val",
    types_pb2.DT_BOOL: "bool_val",
}


def field_of(dtype: int) -> str:
    """The field of a TensorProto that holds values of this type."""
    return _FIELDS[dtype]


def read(value: Any, dtype: int) -> Any:
    """A scalar as the field of its type takes it. StatusError INVALID_ARGUMENT or UNIMPLEMENTED if it has another."""
    if dtype == types_pb2.DT_STRING and isinstance(value, dict):
        return decode_base64(value)
    if isinstance(value, dict):
        raise _wrong_type(value, dtype)
    if dtype not in _FIELDS:
        raise StatusError(Code.UNIMPLEMENTED, f"Conversion of JSON Value: {shown(value)} to type: {short_name(dtype)}")
    if not _fits(value, dtype):
        raise _wrong_type(value, dtype)
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    return real(value) if dtype in _FLOATS else value


def real(value: float) -> float:
    """A number as a float; infinite where it is beyond every float."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def is_base64(value: Any) -> bool:
    """Whether a JSON value is `{"b64": "..."}`: bytes, not an object of named values."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def decode_base64(value: Any) -> bytes:
    """The bytes of `{"b64": "..."}`; padding may be left out. StatusError INVALID_ARGUMENT if it is none."""
    if not is_base64(value):
        raise bad_value(value, "not formatted correctly for base64 data")
    text = re.sub(r"[ \t\n\r\v\f]", "", value["b64"])
    padded = text if "=" in text else text + "=" * (-len(text) % 4)
    try:
        return base64.b64decode(padded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("Unable to base64 decode") from error


def tokens(name: str, tensor: Any) -> Sequence[str | bytes]:
    """JSON tokens; bytes where base64 is to be written: strings of an output whose name ends in `_bytes`."""
    if tensor.dtype not in _FIELDS:
        raise invalid(f"Failed to write JSON value for tensor type: {short_name(tensor.dtype)}")
    values = getattr(tensor, _FIELDS[tensor.dtype])
    if tensor.dtype in _FLOATS:
        return [decimal(value, _FLOATS[tensor.dtype][0]) for value in values]
    if tensor.dtype == types_pb2.DT_STRING and name.endswith("_bytes"):
        return list(values)
    if tensor.dtype == types_pb2.DT_STRING:
        return [string(value.decode("utf-8", "surrogateescape")) for value in values]
    if tensor.dtype == types_pb2.DT_BOOL:
        return ["true" if value else "false" for value in values]
    return [str(value) for value in values]


def _fits(value: Any, dtype: int) -> bool:
    if dtype == types_pb2.DT_STRING:
        return isinstance(value, str)
    if dtype == types_pb2.DT_BOOL:
        return isinstance(value, bool)
    if dtype in _FLOATS:
        return type(value) in (int, float)
    _, low, high = _INTEGERS[dtype]
    return type(value) is int and low <= value < high


def _wrong_type(value: Any, dtype: int) -> StatusError:
    return bad_value(value, f"Type: {type_name(value)} is not of expected type: {short_name(dtype)}")
