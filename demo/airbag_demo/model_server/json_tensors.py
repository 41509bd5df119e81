"""Between the JSON of REST predict and tensors: row form (`instances`) and column form (`inputs`)."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tensorflow.core.framework import types_pb2

from airbag_demo.model_server.json_writer import PrettyWriter, decimal, string
from airbag_demo.model_server.status import Code, StatusError, invalid

_PARSE_ERRORS = {
    "Expecting value": "Invalid value.",
    "Expecting property name enclosed in double quotes": "Missing a name for object member.",
    "Illegal trailing comma before end of object": "Missing a name for object member.",
    "Illegal trailing comma before end of array": "Invalid value.",
    "Expecting ':' delimiter": "Missing a colon after a name of object member.",
    "Expecting ',' delimiter": "Missing a comma or } after an object member.",
    "Extra data": "The document root must not be followed by other values.",
    "Unterminated string starting at": "Missing a closing quotation mark in string.",
    "Invalid \\escape": "Invalid escape character in string.",
}

_JSON_TYPES = {type(None): "Null", dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}
_FLOATS: dict[int, tuple[Any, str]] = {  # Any: numpy's scalar types have no common one that np.finfo takes
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
_INT_FIELDS = {dtype: found[0] for dtype, found in _INTEGERS.items()}
_FIELDS = {
    **_INT_FIELDS,
    **{dtype: found[1] for dtype, found in _FLOATS.items()},
    types_pb2.DT_STRING: "string_val",
    types_pb2.DT_BOOL: "bool_val",
}


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object of a request. StatusError INVALID_ARGUMENT with the parser's words if it is none."""
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    text = body.decode("utf-8", "surrogateescape")
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise _parse_error(error, text) from error
    except RecursionError as error:
        raise invalid("JSON Parse error: Terminate parsing due to Handler error. at offset: 0") from error
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {_shown(document)} Is not object")
    return document


def fill_request(document: Mapping[str, Any], request: Any, inputs_of: Callable[[str], Mapping[str, Any]]) -> bool:
    """Fill a PredictRequest; `inputs_of` gives the inputs of a signature. True for row form, False for column form."""
    signature = document.get("signature_name", "")
    if not isinstance(signature, str):
        raise invalid(
            f"JSON Value: {_shown(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    request.model_spec.signature_name = signature
    inputs = inputs_of(signature)
    if not inputs:
        raise invalid(f"Failed to get input map for signature: {signature or 'DEFAULT'}")
    if "instances" in document and "inputs" in document:
        raise invalid(
            f"JSON Value: {_shown(document)} Not formatted correctly expecting only one of 'inputs' or "
            "'instances' keys to exist "
        )
    if "instances" in document:
        _check_instances(document)
        _fill_rows(document["instances"], inputs, request)
        return True
    if "inputs" in document:
        _fill_columns(document["inputs"], inputs, request)
        return False
    raise invalid("Missing 'inputs' or 'instances' key")


def answer(outputs: Mapping[str, Any], is_row: bool) -> str:
    """The body of a successful predict."""
    tensors = {name: outputs[name] for name in sorted(outputs)}
    if not tensors:
        raise invalid("Cannot convert empty tensor map to JSON")
    return _rows(tensors) if is_row else _columns(tensors)


def _parse_error(error: json.JSONDecodeError, text: str) -> StatusError:
    """What the real server's parser would have said."""
    what = _PARSE_ERRORS.get(error.msg, "Invalid value.")
    if error.msg == "Expecting ',' delimiter" and _is_in_array(text[: error.pos]):
        what = "Missing a comma or ] after an array element."
    end = len(text) if error.msg.startswith("Unterminated") else error.pos
    offset = len(text[:end].encode("utf-8", "surrogateescape"))
    return invalid(f"JSON Parse error: {what} at offset: {offset}")


def _is_in_array(text: str) -> bool:
    """Whether the innermost bracket left open is a square one."""
    opened: list[str] = []
    for bracket in re.findall(r'"(?:[^"\\]|\\.)*"|[][{}]', text):
        if bracket in "[{":
            opened.append(bracket)
        elif bracket in "]}" and opened:
            opened.pop()
    return opened[-1:] == ["["]


@dataclass
class _Column:
    """The values of one input, row after row."""

    dtype: int
    values: list[Any] = field(default_factory=list)
    size: int | None = None
    shape: tuple[int, ...] = ()

    def add(self, item: Any) -> None:
        shape = _shape(item)
        values = _flat(item, self.dtype, shape)
        if self.size is None:
            self.size, self.shape = len(values), shape
        elif len(values) != self.size:
            raise invalid(f"Expecting tensor size: {self.size} but got: {len(values)}")
        elif shape != self.shape:
            raise invalid(f"Expecting shape {_dims(self.shape)} but got: {_dims(shape)}")
        self.values += values


def _check_instances(document: Mapping[str, Any]) -> None:
    instances = document["instances"]
    if not isinstance(instances, list):
        raise invalid(f"JSON Value: {_shown(document)} Expecting 'instances' to be an list/array")
    if not instances:
        raise invalid(f"JSON Value: {_shown(document)} No values in 'instances' array")


def _fill_rows(instances: list[Any], inputs: Mapping[str, Any], request: Any) -> None:
    if not isinstance(instances[0], dict) and len(inputs) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    columns = {name: _Column(inputs[name].dtype) for name in sorted(inputs)}
    are_objects = _is_named(instances[0])
    for index, row in enumerate(instances):
        if are_objects:
            _add_object(columns, row, index)
        else:
            _add_plain(next(iter(columns.values())), row, index)
    for name, column in columns.items():
        _write(request.inputs[name], column.dtype, (len(instances), *column.shape), column.values)


def _add_object(columns: Mapping[str, _Column], row: Any, index: int) -> None:
    if not _is_named(row):
        raise invalid(f"Expecting object but got list at item {index} of input list")
    for key, item in row.items():
        try:
            if key not in columns:
                raise invalid(f"JSON object: does not have named input: {key}")
            columns[key].add(item)
        except StatusError as error:
            raise invalid(
                f"Failed to process element: {index} key: {key} of 'instances' list. Error: {error.status}"
            ) from error
    if row.keys() != columns.keys():
        raise invalid(
            f"Failed to process element: {index} of 'instances' list. JSON object: {_shown(row)} "
            f"keys must be equal to: {','.join(columns)}"
        )


def _add_plain(column: _Column, row: Any, index: int) -> None:
    if _is_named(row):
        raise invalid(f"Expecting value/list but got object at item {index} of input list")
    try:
        column.add(row)
    except StatusError as error:
        raise invalid(f"Failed to process element: {index} of 'instances' list. Error: {error.status}") from error


def _fill_columns(value: Any, inputs: Mapping[str, Any], request: Any) -> None:
    if not _is_named(value):
        if len(inputs) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        value = {next(iter(inputs)): value}
    for name in sorted(inputs):
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        shape = _shape(value[name])
        _write(request.inputs[name], inputs[name].dtype, shape, _flat(value[name], inputs[name].dtype, shape))


def _write(tensor: Any, dtype: int, shape: tuple[int, ...], values: list[Any]) -> None:
    tensor.dtype = dtype
    tensor.tensor_shape.SetInParent()
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    if dtype not in _FIELDS:
        raise StatusError(Code.UNIMPLEMENTED, f"Conversion of JSON to type: {_type_name(dtype)}")
    getattr(tensor, _FIELDS[dtype]).extend(values)


def _shape(item: Any) -> tuple[int, ...]:
    shape: list[int] = []
    while isinstance(item, list):
        shape.append(len(item))
        item = item[0] if item else None
    return tuple(shape)


def _flat(item: Any, dtype: int, shape: tuple[int, ...], level: int = 0) -> list[Any]:
    if not isinstance(item, list):
        if level != len(shape):
            raise invalid(
                f"JSON Value: {_shown(item)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {len(shape)}"
            )
        return [_scalar(item, dtype)]
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(item) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(item)} at level: {level} expected size: {shape[level]}"
        )
    return [value for one in item for value in _flat(one, dtype, shape, level + 1)]


def _scalar(value: Any, dtype: int) -> Any:
    if dtype == types_pb2.DT_STRING:
        return _text(value)
    if dtype in _FLOATS:
        return _real(value, dtype)
    if dtype in _INTEGERS:
        _, low, high = _INTEGERS[dtype]
        if type(value) is not int or not low <= value < high:
            raise _wrong_type(value, dtype)
        return value
    if dtype == types_pb2.DT_BOOL and isinstance(value, bool):
        return value
    raise _wrong_type(value, dtype)


def _text(value: Any) -> bytes:
    if _is_base64(value):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise invalid("Unable to base64 decode") from error
    if isinstance(value, dict):
        raise invalid(f"JSON Value: {_shown(value)} not formatted correctly for base64 data")
    if not isinstance(value, str):
        raise _wrong_type(value, types_pb2.DT_STRING)
    return value.encode("utf-8", "surrogateescape")


def _real(value: Any, dtype: int) -> float:
    kind, _ = _FLOATS[dtype]
    if type(value) not in (int, float):
        raise _wrong_type(value, dtype)
    limit = 2 ** (np.finfo(kind).nmant + 1) - 1
    if (isinstance(value, int) and abs(value) > limit) or (np.isfinite(value) and abs(value) > np.finfo(kind).max):
        raise invalid(f"Cannot convert JSON value: {_shown(value)} to {_type_name(dtype)} without loss of precision.")
    return float(value)


def _wrong_type(value: Any, dtype: int) -> StatusError:
    kind = str(value) if isinstance(value, bool) else _JSON_TYPES[type(value)]
    return invalid(f"JSON Value: {_shown(value)} Type: {kind} is not of expected type: {_type_name(dtype)}")


def _type_name(dtype: int) -> str:
    name: str = types_pb2.DataType.Name(dtype)
    return name.removeprefix("DT_").lower()


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _dims(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _rows(tensors: Mapping[str, Any]) -> str:
    batch: int | None = None
    for name, tensor in tensors.items():
        if not tensor.tensor_shape.dim:
            raise invalid(f"Tensor name: {name} has no shape information ")
        size = tensor.tensor_shape.dim[0].size
        if batch not in (None, size):
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {size} expecting: {batch}")
        batch = size
    writer = PrettyWriter()
    writer.open("{")
    writer.value('"predictions"')
    writer.open("[")
    values = {name: iter(_tokens(name, tensor)) for name, tensor in tensors.items()}
    for _ in range(batch or 0):
        if len(tensors) > 1:
            writer.open("{")
        writer.single_line = True
        for name, tensor in tensors.items():
            if len(tensors) > 1:
                writer.value(string(name))
            _nested(writer, [dim.size for dim in tensor.tensor_shape.dim[1:]], values[name])
        writer.single_line = False
        if len(tensors) > 1:
            writer.close()
    writer.close()
    writer.close()
    return writer.text()


def _columns(tensors: Mapping[str, Any]) -> str:
    writer = PrettyWriter()
    writer.open("{")
    writer.value('"outputs"')
    if len(tensors) > 1:
        writer.open("{")
    for name, tensor in tensors.items():
        if len(tensors) > 1:
            writer.value(string(name))
        _nested(writer, [dim.size for dim in tensor.tensor_shape.dim], iter(_tokens(name, tensor)))
    if len(tensors) > 1:
        writer.close()
    writer.close()
    return writer.text()


def _nested(writer: PrettyWriter, sizes: list[int], tokens: Any) -> None:
    if not sizes:
        _put(writer, next(tokens))
        return
    writer.open("[")
    for _ in range(sizes[0]):
        _nested(writer, sizes[1:], tokens)
    writer.close()


def _put(writer: PrettyWriter, token: str | bytes) -> None:
    if isinstance(token, str):
        writer.value(token)
        return
    writer.open("{")
    writer.value('"b64"')
    writer.value(string(base64.b64encode(token).decode()))
    writer.close()


def _tokens(name: str, tensor: Any) -> list[str] | list[bytes]:
    """JSON tokens; bytes where base64 is to be written: strings of an output whose name ends in `_bytes`."""
    if tensor.dtype in _FLOATS:
        kind, source = _FLOATS[tensor.dtype]
        return [decimal(value, kind) for value in getattr(tensor, source)]
    if tensor.dtype == types_pb2.DT_STRING and name.endswith("_bytes"):
        return list(tensor.string_val)
    if tensor.dtype == types_pb2.DT_STRING:
        return [string(value.decode("utf-8", "surrogateescape")) for value in tensor.string_val]
    if tensor.dtype == types_pb2.DT_BOOL:
        return ["true" if value else "false" for value in tensor.bool_val]
    if tensor.dtype in _INT_FIELDS:
        return [str(value) for value in getattr(tensor, _INT_FIELDS[tensor.dtype])]
    raise invalid(f"Failed to write JSON value for tensor type: {_type_name(tensor.dtype)}")
