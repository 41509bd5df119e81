"""One gRPC channel to one server: typed calls, a deadline on each, errors of our own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError, Message

from airbag.errors import Garbled, Refused, Unreachable
from airbag.serving.channel import open_channel
from airbag.serving.proto import tfs_pb2
from airbag.serving.values import Endpoint

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

_NO_ANSWER = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


@dataclass(frozen=True)
class Method(Generic[Request, Response]):
    """A unary method: its path on the wire and the message that answers."""

    path: str
    response: type[Response]


GET_MODEL_STATUS = Method[tfs_pb2.GetModelStatusRequest, tfs_pb2.GetModelStatusResponse](
    "/tensorflow.serving.ModelService/GetModelStatus", tfs_pb2.GetModelStatusResponse
)
RELOAD_CONFIG = Method[tfs_pb2.ReloadConfigRequest, tfs_pb2.ReloadConfigResponse](
    "/tensorflow.serving.ModelService/HandleReloadConfigRequest", tfs_pb2.ReloadConfigResponse
)
GET_MODEL_METADATA = Method[tfs_pb2.GetModelMetadataRequest, tfs_pb2.GetModelMetadataResponse](
    "/tensorflow.serving.PredictionService/GetModelMetadata", tfs_pb2.GetModelMetadataResponse
)
PREDICT = Method[tfs_pb2.PredictRequest, tfs_pb2.PredictResponse](
    "/tensorflow.serving.PredictionService/Predict", tfs_pb2.PredictResponse
)


class Wire:
    """A channel to a server's gRPC port. Connects at the first call, reconnects by itself, serves many threads.

    With TLS, certificates that were renewed on disk are used within a second, and no call under way ends for it.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.target = endpoint.grpc
        self._channel = open_channel(endpoint.grpc, endpoint.tls)

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the channel. Calls in progress, and any made later, raise Unreachable. Closing twice is fine."""
        self._channel.close()

    def call(self, method: Method[Request, Response], request: Request, timeout: float) -> Response:
        """Send `request` and wait at most `timeout` seconds for the answer.

        Raises Unreachable when no answer came, Refused with the server's code when it said no, Garbled when the answer
        is not the message that it should be. Never waits for a server that is down: that is Unreachable at once.
        """
        data = request.SerializeToString()
        try:
            with self._channel.lease() as channel:
                call: Callable[..., bytes] = channel.unary_unary(method.path)  # bytes both ways: decoding is ours
                answer = call(data, timeout=timeout)
        except grpc.RpcError as error:
            raise self._translated(method.path, error, timeout) from error
        except ValueError as error:
            raise Unreachable(f"{method.path} on {self.target}: the channel was closed") from error
        try:
            return method.response.FromString(answer)
        except DecodeError as error:
            raise Garbled(
                f"{method.path} on {self.target} answered {len(answer)} bytes that are no "
                f"{method.response.DESCRIPTOR.name}; is something other than TensorFlow Serving on that port?"
            ) from error

    def _translated(self, path: str, error: grpc.RpcError, timeout: float) -> Unreachable | Refused:
        failed = cast(grpc.Call, error)  # what a unary call raises is both, which grpc's types cannot say
        code, details = failed.code(), failed.details() or "no details"
        if code is grpc.StatusCode.UNAVAILABLE and (trouble := self._channel.trouble(details)):
            return Unreachable(f"{path} on {self.target}: {trouble}", code.name)
        what = f"{path} on {self.target}: {code.name}: {details}"
        if code in _NO_ANSWER:
            late = f" (deadline {timeout:g} s)" if code is grpc.StatusCode.DEADLINE_EXCEEDED else ""
            return Unreachable(what + late, code.name)
        return Refused(what, code.name)
