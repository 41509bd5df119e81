"""The gRPC port: which services it has, how many calls at a time, and how a status ends a call."""

from __future__ import annotations

import logging
import re
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
from airbag_demo.model_server import health, text_protos
from airbag_demo.model_server.flags import Flags
from airbag_demo.model_server.grpc_api import Context, GrpcApi
from airbag_demo.model_server.protos import message
from airbag_demo.model_server.status import Code, Status, StatusError, invalid

log = logging.getLogger("airbag.model_server")

MESSAGE_LIMIT = 1024
"""Bytes of a status message; what is longer is cut."""
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
_OVERFLOW_THREADS = 16
_CODES = {code.value[0]: code for code in grpc.StatusCode}

Method = Callable[[Any, Context], Any]


def serve(api: GrpcApi, flags: Flags) -> grpc.Server:
    """Open the port, the socket, or both. More calls at a time than the flag allows are refused.

    StartError if a port cannot be had, or its certificate cannot be used; StatusError if the TLS file is wrong.
    """
    gate = threading.BoundedSemaphore(flags.grpc_max_threads)
    pool = ThreadPoolExecutor(flags.grpc_max_threads + _OVERFLOW_THREADS)
    server = grpc.server(pool, options=[*UNLIMITED, *channel_arguments(flags.grpc_channel_arguments)])
    server.add_generic_rpc_handlers((_prediction_service(api, gate), _model_service(api, gate)))
    if flags.enable_grpc_healthcheck_service:
        server.add_generic_rpc_handlers((health.handler(),))
    credentials = _credentials(flags.ssl_config_file)
    if flags.port:
        _listen(server, f"{flags.bind_address}:{flags.port}", credentials)
    if flags.grpc_socket_path:
        _listen(server, f"unix:{flags.grpc_socket_path}", credentials)
    server.start()
    log.info("Running gRPC ModelServer at %s:%d ...", flags.bind_address, flags.port)
    return server


def channel_arguments(text: str) -> list[tuple[str, int | str]]:
    """`key=value,...`: whole numbers as numbers, everything else as text. StatusError if a value is missing."""
    found: list[tuple[str, int | str]] = []
    for argument in filter(None, text.split(",")):
        key, equals, value = argument.partition("=")
        if not equals:
            raise invalid(f"--grpc_channel_arguments: {argument} has no value")
        found.append((key, int(value) if re.fullmatch(r"[+-]?[0-9]+", value) else value))
    return found


def _credentials(file: str) -> grpc.ServerCredentials | None:
    """None for plain text."""
    if not file:
        return None
    config = text_protos.read(file, lambda text: text_protos.parse(text, message("SSLConfig")()))
    pair = (config.server_key.encode(), config.server_cert.encode())
    try:
        return grpc.ssl_server_credentials([pair], config.custom_ca.encode() or None, config.client_verify)
    except ValueError as error:
        raise StartError(f"{file}: client_verify needs a custom_ca to verify clients with") from error


def _listen(server: grpc.Server, address: str, credentials: grpc.ServerCredentials | None) -> None:
    try:
        if credentials is None:
            server.add_insecure_port(address)
        else:
            server.add_secure_port(address, credentials)
    except RuntimeError as error:
        hint = "is it in use?" if credentials is None else "is it in use, or is the certificate broken?"
        raise StartError(f"cannot listen for gRPC on {address}: {hint}") from error


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
    def answer(asked: Any, context: Context) -> Any:
        if not gate.acquire(blocking=False):
            _abort(context, Status(Code.RESOURCE_EXHAUSTED, "Server Threadpool Exhausted"))
        try:
            return method(asked, context)
        except StatusError as error:
            _abort(context, error.status)
        finally:
            gate.release()

    return grpc.unary_unary_rpc_method_handler(
        answer, request_deserializer=request.FromString, response_serializer=lambda given: given.SerializeToString()
    )


def _abort(context: Context, status: Status) -> None:
    """Ends the call: raises."""
    text = status.message.encode("utf-8", "surrogateescape")
    if len(text) > MESSAGE_LIMIT:
        text = text[:MESSAGE_LIMIT] + b"...TRUNCATED"
    context.abort(_CODES[int(status.code)], text.decode("utf-8", "replace"))
