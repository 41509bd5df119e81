"""The gRPC front end: PredictionService and ModelService with the official messages."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

from airbag.errors import StartError
from airbag_demo.model_server.core import ServerCore
from airbag_demo.model_server.metrics import ServerMetrics
from airbag_demo.model_server.predict import predict
from airbag_demo.model_server.saved_model import SavedModel
from airbag_demo.model_server.status import Code, Status, StatusError, invalid

log = logging.getLogger("airbag.model_server")

MESSAGE_LIMIT = 1024
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
_OVERFLOW_THREADS = 16
_CODES = {code.value[0]: code for code in grpc.StatusCode}

Context = Any  # grpc.ServicerContext
Method = Callable[[Any, Context], Any]


class GrpcApi:
    """The methods of both services. Each raises StatusError, which becomes the call's status."""

    def __init__(self, core: ServerCore, metrics: ServerMetrics) -> None:
        self._core = core
        self._metrics = metrics

    def predict(self, request: Any, context: Context) -> Any:
        started = time.perf_counter()
        name = request.model_spec.name
        try:
            response = self._predict(request, _timeout_ms(context))
        except StatusError as error:
            self._metrics.request_count.add(name, error.status.code.name)
            raise
        self._metrics.request_count.add(name, "OK")
        self._metrics.request_latency.observe(int((time.perf_counter() - started) * 1e6), name, "Predict", "GRPC")
        return response

    def not_yet(self, request: Any, _: Context) -> Any:
        """Classify and Regress: counted like any request, but not served here."""
        self._metrics.request_count.add(request.model_spec.name, Code.UNIMPLEMENTED.name)
        raise _unimplemented()

    def multi_inference(self, _request: Any, _: Context) -> Any:
        raise _unimplemented()

    def metadata(self, request: Any, _: Context) -> Any:
        return model_metadata(self._core, request)

    def status(self, request: Any, _: Context) -> Any:
        return model_status(self._core, request)

    def reload(self, request: Any, _: Context) -> Any:
        response = model_management_pb2.ReloadConfigResponse()
        try:
            if request.config.WhichOneof("config") != "model_config_list":
                raise invalid(
                    "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                    "Only ModelConfigList is currently supported"
                )
            self._core.reload(request.config)
        except StatusError as error:
            log.error("ReloadConfig failed: %s", error.status.message)  # noqa: TRY400 - the real server's one line
            raise
        response.status.error_code = Code.OK
        return response

    def _predict(self, request: Any, timeout_ms: int) -> Any:
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        with self._core.hold(request.model_spec) as route:
            response = predict(cast(SavedModel, route.servable), request, timeout_ms, self._metrics)
            response.model_spec.version.value = route.version
            return response


def model_metadata(core: ServerCore, request: Any) -> Any:
    """Answer a GetModelMetadataRequest with the signatures and the version that answered."""
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    if not request.metadata_field:
        raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
    for field in request.metadata_field:
        if field != "signature_def":
            raise invalid(f"Metadata field {field} is not supported")
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    with core.hold(request.model_spec) as route:
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in cast(SavedModel, route.servable).signatures.items():
            signatures.signature_def[name].CopyFrom(signature)
        response.metadata["signature_def"].Pack(signatures)
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = route.version
    return response


def model_status(core: ServerCore, request: Any) -> Any:
    """Answer a GetModelStatusRequest with the states of all versions, or of the one asked for."""
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    response = get_model_status_pb2.GetModelStatusResponse()
    for event in core.status(request.model_spec):
        one = response.model_version_status.add(version=event.version, state=int(event.state))
        one.status.error_code = int(event.status.code)
        one.status.error_message = event.status.message
    return response


def serve(api: GrpcApi, address: str, port: int, max_threads: int) -> grpc.Server:
    """Open the port. More calls at a time than `max_threads` are refused. StartError if the port cannot be had."""
    gate = threading.BoundedSemaphore(max_threads)
    server = grpc.server(ThreadPoolExecutor(max_threads + _OVERFLOW_THREADS), options=UNLIMITED)
    server.add_generic_rpc_handlers((_prediction_service(api, gate), _model_service(api, gate)))
    try:
        server.add_insecure_port(f"{address}:{port}")
    except RuntimeError as error:
        raise StartError(f"cannot listen for gRPC on {address}:{port}: is the port in use?") from error
    server.start()
    return server


def _prediction_service(api: GrpcApi, gate: threading.BoundedSemaphore) -> grpc.GenericRpcHandler:
    methods = {
        "Predict": _unary(api.predict, predict_pb2.PredictRequest, gate),
        "Classify": _unary(api.not_yet, classification_pb2.ClassificationRequest, gate),
        "Regress": _unary(api.not_yet, regression_pb2.RegressionRequest, gate),
        "MultiInference": _unary(api.multi_inference, inference_pb2.MultiInferenceRequest, gate),
        "GetModelMetadata": _unary(api.metadata, get_model_metadata_pb2.GetModelMetadataRequest, gate),
    }
    return grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", methods)


def _model_service(api: GrpcApi, gate: threading.BoundedSemaphore) -> grpc.GenericRpcHandler:
    methods = {
        "GetModelStatus": _unary(api.status, get_model_status_pb2.GetModelStatusRequest, gate),
        "HandleReloadConfigRequest": _unary(api.reload, model_management_pb2.ReloadConfigRequest, gate),
    }
    return grpc.method_handlers_generic_handler("tensorflow.serving.ModelService", methods)


def _unary(method: Method, request: Any, gate: threading.BoundedSemaphore) -> Any:
    def answer(message: Any, context: Context) -> Any:
        if not gate.acquire(blocking=False):
            _abort(context, Status(Code.RESOURCE_EXHAUSTED, "Server Threadpool Exhausted"))
        try:
            return method(message, context)
        except StatusError as error:
            _abort(context, error.status)
        finally:
            gate.release()

    return grpc.unary_unary_rpc_method_handler(
        answer, request_deserializer=request.FromString, response_serializer=lambda message: message.SerializeToString()
    )


def _abort(context: Context, status: Status) -> None:
    """Ends the call: raises."""
    message = status.message
    if len(message) > MESSAGE_LIMIT:
        message = message[:MESSAGE_LIMIT] + "...TRUNCATED"
    context.abort(_CODES[int(status.code)], message)


def _timeout_ms(context: Context) -> int:
    """What is left of the client's deadline; 0, no limit, if it gave none."""
    remaining = context.time_remaining()
    if remaining is None:
        return 0
    return min(max(1, int(remaining * 1000)), 2**31 - 1)


def _unimplemented() -> StatusError:
    return StatusError(Code.UNIMPLEMENTED, "The local model server answers Predict only")
