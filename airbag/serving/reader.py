"""Looking at one TensorFlow Serving process. Nothing here changes it.

The status and metadata calls are not counted by the server's own `request_count`; `predict` is.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from airbag.errors import Garbled, Refused
from airbag.serving import native_page
from airbag.serving.proto import tfs_pb2
from airbag.serving.values import Endpoint, Prediction, State, VersionStatus, code_name
from airbag.serving.wire import GET_MODEL_METADATA, GET_MODEL_STATUS, PREDICT, Wire

if TYPE_CHECKING:
    from airbag.serving.tensor import Array

_NO_SUCH_LABEL = "Unrecognized servable version label"


class Reader:
    """Reads one endpoint; many threads may share it. Use as a context manager, or call `close`.

    Every method raises Unreachable when no answer came within `timeout` seconds, Refused (with the server's `code`)
    when the server said no, Garbled when its answer makes no sense.
    """

    def __init__(self, endpoint: Endpoint, metrics_path: str = native_page.PATH) -> None:
        self.endpoint = endpoint
        self._metrics_path = metrics_path
        self._wire = Wire(endpoint)

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Closing twice is fine."""
        self._wire.close()

    def versions(self, model: str, timeout: float = 2.0) -> tuple[VersionStatus, ...]:
        """Every version that the process has heard of since its start, newest number first.

        Empty for a model that it never heard of. A model that was taken out of the config is still listed, at END.
        """
        request = tfs_pb2.GetModelStatusRequest(model_spec=tfs_pb2.ModelSpec(name=model))
        try:
            answer = self._wire.call(GET_MODEL_STATUS, request, timeout)
        except Refused as error:
            if error.code == "NOT_FOUND":
                return ()
            raise
        found = (_status(each) for each in answer.model_version_status)
        return tuple(sorted(found, key=lambda status: status.version, reverse=True))

    def default_version(self, model: str, timeout: float = 2.0) -> int | None:
        """The version that answers requests which name none; None when nothing serves."""
        return self._serving(tfs_pb2.ModelSpec(name=model), timeout)

    def label_version(self, model: str, label: str, timeout: float = 2.0) -> int | None:
        """The version that answers requests for `label`; None when the label is unknown or its version is gone."""
        return self._serving(tfs_pb2.ModelSpec(name=model, version_label=label), timeout)

    def signatures(self, model: str, version: int | None = None, timeout: float = 2.0) -> tfs_pb2.SignatureDefMap:
        """What a loaded version takes and gives, by signature name; without `version` the one that answers by default.

        Refused with NOT_FOUND when it is not loaded.
        """
        spec = tfs_pb2.ModelSpec(name=model)
        if version is not None:
            spec.version.value = version
        answer = self._wire.call(GET_MODEL_METADATA, _metadata_of(spec), timeout)
        signatures = tfs_pb2.SignatureDefMap()
        try:
            signatures.ParseFromString(answer.metadata["signature_def"].value)
        except DecodeError as error:
            raise Garbled(f"{self.endpoint.grpc} answered with signatures of {model!r} that make no sense") from error
        return signatures

    def predict(
        self,
        model: str,
        inputs: Mapping[str, Array],
        version: int | str | None = None,
        timeout: float = 5.0,
        *,
        signature: str = "",
    ) -> Prediction:
        """Ask the model. `version` is a number, a label, or None for the server's default; `signature` "" likewise.

        The server counts this as a request. ValueError for an array that TensorFlow has no type for.
        """
        from airbag.serving import tensor  # numpy: only for those who ask the model itself

        spec = tfs_pb2.ModelSpec(name=model, signature_name=signature)
        if isinstance(version, str):
            spec.version_label = version
        elif version is not None:
            spec.version.value = version
        tensors = {name: tensor.to_proto(array) for name, array in inputs.items()}
        answer = self._wire.call(PREDICT, tfs_pb2.PredictRequest(model_spec=spec, inputs=tensors), timeout)
        outputs = {name: tensor.from_proto(output) for name, output in answer.outputs.items()}
        return Prediction(self._version(answer.model_spec), outputs)

    def ask(self, request: tfs_pb2.PredictRequest, timeout: float) -> tfs_pb2.PredictResponse:
        """Send a request that is ready for the wire. Like `predict` counted by the server, unlike it without numpy."""
        return self._wire.call(PREDICT, request, timeout)

    def native_page(self, timeout: float = 2.0) -> bytes:
        """The server's own metrics page, byte for byte: it may hold bytes that are no UTF-8.

        `timeout` bounds the whole transfer, also from a server that sends a little at a time. Refused carries the HTTP
        status as its `code`.
        """
        if self.endpoint.rest is None:
            raise Refused(f"{self.endpoint.grpc} has no REST address in the configuration, so no metrics page")
        return native_page.fetch(self.endpoint.rest, self._metrics_path, timeout)

    def _serving(self, spec: tfs_pb2.ModelSpec, timeout: float) -> int | None:
        try:
            answer = self._wire.call(GET_MODEL_METADATA, _metadata_of(spec), timeout)
        except Refused as error:
            if error.code == "NOT_FOUND" or (error.code == "INVALID_ARGUMENT" and _NO_SUCH_LABEL in str(error)):
                return None
            raise
        return self._version(answer.model_spec)

    def _version(self, spec: tfs_pb2.ModelSpec) -> int:
        if not spec.HasField("version"):
            raise Garbled(f"{self.endpoint.grpc} answered for model {spec.name!r} without saying which version did")
        return spec.version.value


def _metadata_of(spec: tfs_pb2.ModelSpec) -> tfs_pb2.GetModelMetadataRequest:
    return tfs_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])


def _status(each: tfs_pb2.ModelVersionStatus) -> VersionStatus:
    return VersionStatus(each.version, State(each.state), code_name(each.status.error_code), each.status.error_message)
