"""The gRPC port: which services it has, how many calls at a time, and how a status ends a call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

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
from airbag_demo.model_server.grpc_api import Context, GrpcApi
from airbag_demo.model_server.status import Code, Status, StatusError

MESSAGE_LIMIT = 1024
"""Bytes of a status message; what is longer is cut."""
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
_OVERFLOW_THREADS = 16
_CODES = {code.value[0]: code for code in grpc.StatusCode}

Method = Callable[[Any, Context], Any]


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
        "Classify": _unary(api.classify, classification_pb2.ClassificationRequest, gate),
        "Regress": _unary(api.regress, regression_pb2.RegressionRequest, gate),
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
    message = status.message.encode("utf-8", "surrogateescape")
    if len(message) > MESSAGE_LIMIT:
        message = message[:MESSAGE_LIMIT] + b"...TRUNCATED"
    context.abort(_CODES[int(status.code)], message.decode("utf-8", "replace"))
