"""Predict: from the named tensors of a request to the named tensors of an answer."""

from __future__ import annotations

import time
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from airbag_demo.model_server.saved_model import SavedModel
from airbag_demo.model_server.setting import (
    CLASSIFY_METHOD,
    DEFAULT_SIGNATURE,
    PREDICT_METHOD,
    REGRESS_METHOD,
    Setting,
)
from airbag_demo.model_server.status import Code, StatusError, invalid

_METHODS = (PREDICT_METHOD, CLASSIFY_METHOD, REGRESS_METHOD)

_FIELDS = {
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.int8: "int_val",
    tf.int16: "int_val",
    tf.int32: "int_val",
    tf.uint8: "int_val",
    tf.uint16: "int_val",
    tf.int64: "int64_val",
    tf.uint32: "uint32_val",
    tf.uint64: "uint64_val",
    tf.bool: "bool_val",
    tf.string: "string_val",
}


def predict(model: SavedModel, request: Any, timeout_ms: int, setting: Setting) -> Any:
    """Answer a PredictRequest with a PredictResponse, all but the version. StatusError with the real server's words.

    0 means no time limit. Only a run that succeeded is timed.
    """
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = model.signatures.get(name)
    if signature is None:
        raise StatusError(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
    if setting.checks_methods and signature.method_name not in _METHODS:
        raise StatusError(
            Code.INTERNAL,
            f"Expected prediction signature method_name to be one of {{{', '.join(_METHODS)}}}. "
            f"Was: {signature.method_name}",
        )
    feeds = _feeds(signature, request.inputs)
    outputs = _outputs(signature, request.output_filter)
    started = time.perf_counter()
    arrays = model.run(feeds, list(outputs.values()), timeout_ms)
    setting.ran(request.model_spec.name, "Predict", time.perf_counter() - started)
    response = predict_pb2.PredictResponse()
    response.model_spec.name = request.model_spec.name
    response.model_spec.signature_name = name
    for alias, array in zip(outputs, arrays, strict=True):
        _write(response.outputs[alias], array, signature.outputs[alias].dtype, setting.sends_content)
    return response


def _feeds(signature: Any, inputs: Any) -> dict[str, Any]:
    """Arrays by tensor name. An input that is left out has the signature's default, if it names any."""
    sent, required = set(inputs), set(signature.inputs)
    if len(sent) > len(required) or (len(sent) < len(required) and not signature.defaults):
        raise invalid(
            f"input size does not match signature: {len(sent)}!={len(required)} len({_braced(sent)}) != "
            f"len({_braced(required)}). Sent extra: {_braced(sent - required)}. "
            f"Missing but required: {_braced(required - sent)}."
        )
    feeds: dict[str, Any] = {}
    for alias in sorted(inputs):
        if alias not in required:
            raise invalid(
                f"input tensor alias not found in signature: {alias}. "
                f"Inputs expected to be in the set {_braced(required)}."
            )
        feeds[signature.inputs[alias].name] = _array(alias, inputs[alias])
    for alias in signature.defaults:
        if alias not in sent:
            feeds[signature.inputs[alias].name] = _array(alias, signature.defaults[alias])
    return feeds


def _array(alias: str, tensor: Any) -> Any:
    try:
        return tf.make_ndarray(tensor)
    except (TypeError, ValueError) as error:
        raise invalid(f"tensor parsing error: {alias}") from error


def _outputs(signature: Any, wanted: Any) -> dict[str, str]:
    """Alias to tensor name; without a filter all of them, sorted."""
    outputs: dict[str, str] = {}
    for alias in wanted or sorted(signature.outputs):
        if alias not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set "
                f"{_braced(set(signature.outputs))}."
            )
        if alias in outputs:
            raise invalid(f"duplicate output tensor alias: {alias}")
        outputs[alias] = signature.outputs[alias].name
    return outputs


def _write(tensor: Any, array: Any, dtype: int, as_content: bool) -> None:
    """Values go one by one into the field of their type, as the real server sends them, not as one block of bytes."""
    field = _FIELDS.get(tf.dtypes.as_dtype(dtype))
    if field is None or as_content:
        tensor.CopyFrom(tf.make_tensor_proto(array))
        return
    tensor.dtype = dtype
    tensor.tensor_shape.SetInParent()
    for size in getattr(array, "shape", ()):
        tensor.tensor_shape.dim.add(size=size)
    values = array.ravel().tolist() if hasattr(array, "ravel") else [array]
    getattr(tensor, field).extend(values)


def _braced(names: set[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
