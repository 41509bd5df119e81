"""Regress: tf.Examples to one number each."""

from __future__ import annotations

import time
from typing import Any

from tensorflow_serving.apis import regression_pb2

from airbag_demo.model_server.data_types import enum_name
from airbag_demo.model_server.examples import run, serialized, shape_text
from airbag_demo.model_server.saved_model import SavedModel
from airbag_demo.model_server.setting import DEFAULT_SIGNATURE, REGRESS_METHOD, Setting
from airbag_demo.model_server.status import invalid


def regress(model: SavedModel, request: Any, timeout_ms: int, setting: Setting) -> Any:
    """Answer a RegressionRequest, all but the version. StatusError with the real server's words."""
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    if name not in model.signatures:
        raise invalid(f"No signature was found with the name: {name}")
    signature = model.signatures[name]
    source, output = regressor_tensors(signature, setting)
    examples = serialized(request.input)
    started = time.perf_counter()
    (array,) = run(model, examples, [source], [output], timeout_ms)
    setting.ran(request.model_spec.name, "Regress", time.perf_counter() - started)
    response = regression_pb2.RegressionResponse()
    response.model_spec.name, response.model_spec.signature_name = request.model_spec.name, name
    regressions(len(examples), array, response.result)
    return response


def regressor_tensors(signature: Any, setting: Setting) -> tuple[str, str]:
    """The tensors to feed and to fetch. StatusError INVALID_ARGUMENT if the signature is none of a regressor."""
    setting.check_method("regression", REGRESS_METHOD, signature.method_name)
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise invalid("Expected one output Tensor.")
    if "inputs" not in signature.inputs:
        raise invalid(f"No regression inputs found in SignatureDef: {signature}")
    if "outputs" not in signature.outputs:
        raise invalid(f"No regression outputs found in SignatureDef: {signature}")
    return signature.inputs["inputs"].name, signature.outputs["outputs"].name


def regressions(count: int, array: Any, result: Any) -> None:
    """Fill a RegressionResult for `count` examples from the fetched tensor."""
    if not (array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)):
        raise invalid(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got " + shape_text(array)
        )
    if array.shape[0] != count:
        raise invalid(f"Input batch size did not match output batch size: {count} vs. {array.shape[0]}")
    if enum_name(array) != "DT_FLOAT":
        raise invalid(f"Expected output Tensor of DT_FLOAT.  Got: {enum_name(array)}")
    for value in array.ravel().tolist():
        result.regressions.add(value=value)
