"""MultiInference: several classifiers and regressors of one model over the same examples, in one graph run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tensorflow_serving.apis import inference_pb2

from airbag_demo.model_server.classify import classifications, classifier_tensors
from airbag_demo.model_server.examples import run, serialized
from airbag_demo.model_server.regress import regressions, regressor_tensors
from airbag_demo.model_server.saved_model import SavedModel
from airbag_demo.model_server.setting import CLASSIFY_METHOD, DEFAULT_SIGNATURE, REGRESS_METHOD, Setting
from airbag_demo.model_server.status import Code, StatusError, invalid


def multi_inference(model: SavedModel, request: Any, timeout_ms: int, setting: Setting) -> Any:
    """Answer a MultiInferenceRequest, all but the versions. StatusError with the real server's words.

    The number of examples is counted here, and only here; the run is not timed.
    """
    sources: set[str] = set()
    outputs: set[str] = set()
    for task in _checked(model, request.tasks):
        source, wanted = _tensors(model, task, setting)
        sources.add(source)
        outputs.update(wanted)
    examples = serialized(request.input)
    arrays = dict(zip(sorted(outputs), run(model, examples, sources, sorted(outputs), timeout_ms), strict=True))
    setting.metrics.examples_counted(request.tasks[0].model_spec.name if request.tasks else "", len(examples))
    response = inference_pb2.MultiInferenceResponse()
    for task in request.tasks:
        signature = model.signatures[_signature_name(task)]
        result = response.results.add()
        if task.method_name == CLASSIFY_METHOD:
            classifications(signature, len(examples), arrays, result.classification_result)
        else:
            regressions(len(examples), arrays[signature.outputs["outputs"].name], result.regression_result)
        result.model_spec.name, result.model_spec.signature_name = task.model_spec.name, _signature_name(task)
    return response


def _checked(model: SavedModel, tasks: Sequence[Any]) -> Iterator[Any]:
    """The tasks one by one, each checked against those before it."""
    seen: set[str] = set()
    for task in tasks:
        if not task.model_spec.name:
            raise invalid("Found ModelSpec with an empty model name.")
        if task.model_spec.name != tasks[0].model_spec.name:
            raise invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        name = _signature_name(task)
        if name in seen:
            raise invalid(f"Duplicate evaluation of signature: {name}")
        seen.add(name)
        if name not in model.signatures:
            raise invalid(f"Requested signature not found in model graph: {name}")
        yield task


def _tensors(model: SavedModel, task: Any, setting: Setting) -> tuple[str, list[str]]:
    signature = model.signatures[_signature_name(task)]
    if task.method_name == CLASSIFY_METHOD:
        return classifier_tensors(signature, setting)
    if task.method_name == REGRESS_METHOD:
        source, output = regressor_tensors(signature, setting)
        return source, [output]
    raise StatusError(Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")


def _signature_name(task: Any) -> str:
    return str(task.model_spec.signature_name or DEFAULT_SIGNATURE)
