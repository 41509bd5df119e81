"""A gRPC server built from TensorFlow Serving's own stubs: it speaks the real protocol and does as it is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

Status = get_model_status_pb2.ModelVersionStatus


class FakeServing(model_service_pb2_grpc.ModelServiceServicer, prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers from `models` (name to version to state number), `labels` and `errors`; keeps every request.

    `refuse_with` makes every call fail with that code, `hold` makes calls wait until it is set again,
    `names_version` False leaves the version out of answers. Predict echoes its inputs as outputs.
    """

    def __init__(self) -> None:
        self.models: dict[str, dict[int, int]] = {}
        self.labels: dict[str, dict[str, int]] = {}
        self.errors: dict[tuple[str, int], tuple[int, str]] = {}
        self.refuse_with: tuple[grpc.StatusCode, str] | None = None
        self.reload_status = 0
        self.names_version = True
        self.hold = threading.Event()
        self.hold.set()
        self.requests: list[Any] = []  # Any: official messages carry no types
        self._server: grpc.Server | None = None
        self._dying = False
        self.port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen on a free port, or on the same one as before."""
        self._dying = False
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(self, self._server)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def die(self) -> None:
        """Stop at once, with calls in progress cut off."""
        if self._server is not None:
            self._dying = True  # a held call must not slip an answer out while the server goes down
            stopped = self._server.stop(0)
            self.hold.set()
            stopped.wait()
            self._server = None

    def _arrived(self, request: Any, context: grpc.ServicerContext) -> None:
        self.requests.append(request)
        self.hold.wait(30)
        if self._dying:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the server is going down")
        if self.refuse_with is not None:
            context.abort(*self.refuse_with)

    def _resolve(self, spec: Any, context: grpc.ServicerContext) -> int:
        available = [v for v, state in self.models.get(spec.name, {}).items() if state == Status.AVAILABLE]
        if spec.WhichOneof("version_choice") == "version_label":
            label = spec.version_label
            if label not in self.labels.get(spec.name, {}):
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Unrecognized servable version label: {label}")
            wanted = self.labels[spec.name][label]
        else:
            wanted = spec.version.value if spec.HasField("version") else max(available, default=-1)
        if wanted not in available:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Specific({spec.name}, {wanted})")
        return wanted

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the protocol's name
        self._arrived(request, context)
        name = request.model_spec.name
        if name not in self.models:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {name}")
        answer = get_model_status_pb2.GetModelStatusResponse()
        for version, state in self.models[name].items():
            code, message = self.errors.get((name, version), (0, ""))
            each = answer.model_version_status.add(version=version, state=state)
            each.status.error_code, each.status.error_message = code, message
        return answer

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._arrived(request, context)
        answer = model_management_pb2.ReloadConfigResponse()
        answer.status.error_code = self.reload_status
        return answer

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._arrived(request, context)
        if list(request.metadata_field) != ["signature_def"]:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Metadata field must be signature_def")
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.model_spec.name = request.model_spec.name
        answer.metadata["signature_def"].Pack(get_model_metadata_pb2.SignatureDefMap())
        version = self._resolve(request.model_spec, context)
        if self.names_version:
            answer.model_spec.version.value = version
        return answer

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._arrived(request, context)
        answer = predict_pb2.PredictResponse()
        answer.model_spec.name = request.model_spec.name
        answer.model_spec.version.value = self._resolve(request.model_spec, context)
        for name, value in request.inputs.items():
            answer.outputs[name].CopyFrom(value)
        return answer


@contextmanager
def serving() -> Iterator[FakeServing]:
    """A running fake on a free port; stopped at the end."""
    fake = FakeServing()
    fake.start()
    try:
        yield fake
    finally:
        fake.die()
