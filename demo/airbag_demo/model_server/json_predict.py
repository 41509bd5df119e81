"""REST predict: the row form (`instances`) and the column form (`inputs`) as a request, and its answer."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from airbag_demo.model_server.json_text import bad_value, shown
from airbag_demo.model_server.json_values import field_of, is_base64, read, tokens
from airbag_demo.model_server.json_writer import PrettyWriter, string
from airbag_demo.model_server.status import StatusError, invalid


def fill_signature(document: Mapping[str, Any], request: Any) -> None:
    """Take over the `signature_name`, which may be missing."""
    signature = document.get("signature_name", "")
    if not isinstance(signature, str):
        raise bad_value(document, "not formatted correctly. 'signature_name' key must be a string value.")
    request.model_spec.signature_name = signature


def fill_request(document: Mapping[str, Any], request: Any, inputs_of: Callable[[str], Mapping[str, Any]]) -> bool:
    """Fill a PredictRequest; `inputs_of` gives the inputs of a signature. True for row form, False for column form."""
    fill_signature(document, request)
    signature = request.model_spec.signature_name
    inputs = inputs_of(signature)
    if not inputs:
        raise invalid(f"Failed to get input map for signature: {signature or 'DEFAULT'}")
    if "instances" in document and "inputs" in document:
        raise bad_value(
            document, "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
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
        raise bad_value(document, "Expecting 'instances' to be an list/array")
    if not instances:
        raise bad_value(document, "No values in 'instances' array")


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
            f"Failed to process element: {index} of 'instances' list. JSON object: {shown(row)} "
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
    if values:
        getattr(tensor, field_of(dtype)).extend(values)


def _shape(item: Any) -> tuple[int, ...]:
    shape: list[int] = []
    while isinstance(item, list):
        shape.append(len(item))
        item = item[0] if item else None
    return tuple(shape)


def _flat(item: Any, dtype: int, shape: tuple[int, ...], level: int = 0) -> list[Any]:
    if not isinstance(item, list):
        if level != len(shape):
            raise bad_value(
                item, f"found at incorrect level: {level + 1} in the JSON DOM. Expected at level: {len(shape)}"
            )
        return [read(item, dtype)]
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(item) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(item)} at level: {level} expected size: {shape[level]}"
        )
    return [value for one in item for value in _flat(one, dtype, shape, level + 1)]


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _dims(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _rows(tensors: Mapping[str, Any]) -> str:
    writer = PrettyWriter()
    writer.open("{")
    writer.value('"predictions"')
    writer.open("[")
    batch = _batch_size(tensors)
    values = {name: iter(tokens(name, tensor)) for name, tensor in tensors.items()}
    for _ in range(batch):
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


def _batch_size(tensors: Mapping[str, Any]) -> int:
    batch: int | None = None
    for name, tensor in tensors.items():
        if not tensor.tensor_shape.dim:
            raise invalid(f"Tensor name: {name} has no shape information ")
        size = tensor.tensor_shape.dim[0].size
        if batch not in (None, size):
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {size} expecting: {batch}")
        batch = size
    return batch or 0


def _columns(tensors: Mapping[str, Any]) -> str:
    writer = PrettyWriter()
    writer.open("{")
    writer.value('"outputs"')
    if len(tensors) > 1:
        writer.open("{")
    for name, tensor in tensors.items():
        if len(tensors) > 1:
            writer.value(string(name))
        _nested(writer, [dim.size for dim in tensor.tensor_shape.dim], iter(tokens(name, tensor)))
    if len(tensors) > 1:
        writer.close()
    writer.close()
    return writer.text()


def _nested(writer: PrettyWriter, sizes: list[int], values: Iterator[str | bytes]) -> None:
    if not sizes:
        _put(writer, next(values))
        return
    writer.open("[")
    for _ in range(sizes[0]):
        _nested(writer, sizes[1:], values)
    writer.close()


def _put(writer: PrettyWriter, token: str | bytes) -> None:
    if isinstance(token, str):
        writer.value(token)
        return
    writer.open("{")
    writer.value('"b64"')
    writer.value(string(base64.b64encode(token).decode()))
    writer.close()
