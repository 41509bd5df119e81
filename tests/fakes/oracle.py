"""A TF Serving whose model answers what a test says: `y` for an input `x`, both float."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

from tests.fakes.tfs_wire import FakeServing


class Oracle(FakeServing):
    """`answers` holds for each version what comes next: a number, or a code to fail with. The last one stays.

    `late` holds the versions that take a request and do not answer while `hold` is cleared.
    """

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[int, list[float | grpc.StatusCode]] = {}
        self.late: set[int] = set()

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the protocol's name
        signatures = get_model_metadata_pb2.SignatureDefMap()
        signature = signatures.signature_def["serving_default"]
        signature.inputs["x"].dtype = signature.outputs["y"].dtype = 1
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.model_spec.name = request.model_spec.name
        answer.metadata["signature_def"].Pack(signatures)
        answer.model_spec.version.value = self._resolve(request.model_spec, context)
        return answer

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        version = self._resolve(request.model_spec, context)
        self.requests.append(request)
        if version in self.late:
            self.hold.wait(30)
        script = self.answers[version]
        found = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(found, grpc.StatusCode):
            context.abort(found, "the model says no")
        answer = predict_pb2.PredictResponse()
        answer.model_spec.name, answer.model_spec.version.value = request.model_spec.name, version
        answer.outputs["y"].dtype = 1
        answer.outputs["y"].float_val.append(found)
        return answer

    def predictions(self, version: int) -> int:
        """How many requests that version was sent."""
        predicts = [each for each in self.requests if isinstance(each, predict_pb2.PredictRequest)]
        return sum(each.model_spec.version.value == version for each in predicts)


@contextmanager
def oracle() -> Iterator[Oracle]:
    """A running one on a free port; stopped at the end."""
    fake = Oracle()
    fake.start()
    try:
        yield fake
    finally:
        fake.die()
