"""Classify: tf.Examples to labels and scores."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from tensorflow_serving.apis import classification_pb2

from airbag_demo.model_server.data_types import enum_name
from airbag_demo.model_server.examples import run, serialized, shape_text
from airbag_demo.model_server.saved_model import SavedModel
from airbag_demo.model_server.setting import CLASSIFY_METHOD, DEFAULT_SIGNATURE, Setting
from airbag_demo.model_server.status import invalid


def classify(model: SavedModel, request: Any, timeout_ms: int, setting: Setting) -> Any:
    """Answer a ClassificationRequest, all but the version. StatusError with the real server's words."""
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    if name not in model.signatures:
        raise invalid(f"No signature was found with the name: {name}")
    signature = model.signatures[name]
    source, outputs = classifier_tensors(signature, setting)
    examples = serialized(request.input)
    started = time.perf_counter()
    arrays = run(model, examples, [source], outputs, timeout_ms)
    setting.ran(request.model_spec.name, "Classify", time.perf_counter() - started)
    response = classification_pb2.ClassificationResponse()
    response.model_spec.name, response.model_spec.signature_name = request.model_spec.name, name
    classifications(signature, len(examples), dict(zip(outputs, arrays, strict=True)), response.result)
    return response


def classifier_tensors(signature: Any, setting: Setting) -> tuple[str, list[str]]:
    """The tensors to feed and to fetch. StatusError INVALID_ARGUMENT if the signature is none of a classifier."""
    setting.check_method("classification", CLASSIFY_METHOD, signature.method_name)
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if "inputs" not in signature.inputs:
        raise invalid(f"No classification inputs found in SignatureDef: {signature}")
    outputs = [signature.outputs[key].name for key in ("classes", "scores") if key in signature.outputs]
    if not outputs:
        raise invalid(
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            f"Signature was: {signature}"
        )
    return signature.inputs["inputs"].name, outputs


def classifications(signature: Any, count: int, arrays: Mapping[str, Any], result: Any) -> None:
    """Fill a ClassificationResult for `count` examples from the fetched tensors, by name."""
    classes, scores = (
        arrays[signature.outputs[key].name] if key in signature.outputs else None for key in ("classes", "scores")
    )
    _check("classes", classes, "DT_STRING", count)
    _check("scores", scores, "DT_FLOAT", count)
    widths = [array.shape[1] for array in (classes, scores) if array is not None]
    if len(set(widths)) > 1:
        raise invalid(f"Tensors class and score should match in dim_size(1). Got {widths[0]} vs. {widths[1]}")
    for row in range(count):
        added = result.classifications.add()
        for column in range(widths[0]):
            one = added.classes.add()
            if classes is not None:
                one.label = classes[row, column]
            if scores is not None:
                one.score = scores[row, column]


def _check(kind: str, array: Any, dtype: str, count: int) -> None:
    if array is None:
        return
    if array.ndim != 2:
        raise invalid(f"Expected Tensor shape: [batch_size num_classes] but got {shape_text(array)}")
    if enum_name(array) != dtype:
        raise invalid(f"Expected {kind} Tensor of {dtype}. Got: {enum_name(array)}")
    if array.shape[0] != count:
        raise invalid(f"Expected {kind} output batch size of {count}. Got: {array.shape[0]}")
