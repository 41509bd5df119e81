"""The standard gRPC health service, which here says only that the server runs: nothing about its models."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import grpc

from airbag_demo.model_server.protos import message

SERVING, SERVICE_UNKNOWN = 1, 3
SERVICES = ("", "ModelService", "PredictionService")


def handler() -> grpc.GenericRpcHandler:
    """Check and Watch. A watch holds a thread of the server as long as its client listens."""
    request, response = message("HealthCheckRequest"), message("HealthCheckResponse")

    def check(asked: Any, context: Any) -> Any:
        if asked.service not in SERVICES:
            context.abort(grpc.StatusCode.NOT_FOUND, "service name unknown")
        return response(status=SERVING)

    def watch(asked: Any, context: Any) -> Iterator[Any]:
        ended = threading.Event()
        context.add_callback(ended.set)
        yield response(status=SERVING if asked.service in SERVICES else SERVICE_UNKNOWN)
        ended.wait()

    read, write = request.FromString, response.SerializeToString
    return grpc.method_handlers_generic_handler(
        "grpc.health.v1.Health",
        {
            "Check": grpc.unary_unary_rpc_method_handler(check, read, write),
            "Watch": grpc.unary_stream_rpc_method_handler(watch, read, write),
        },
    )
