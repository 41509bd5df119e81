"""A client with the official messages and stubs, and plain HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
import requests
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.fakes.model_server import ModelServer
from tests.fakes.wait import until

STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}


class Client:
    """Speaks to one server as other people's clients do."""

    def __init__(self, server: ModelServer) -> None:
        self.server = server
        self._channel = grpc.insecure_channel(server.grpc_address)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._http = requests.Session()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._http.close()
        self._channel.close()

    def predict(self, name: str = "m", *, timeout: float | None = 10, **request: Any) -> Any:
        return self.prediction.Predict(predict_request(name, **request), timeout=timeout)

    def metadata(self, spec: Any) -> Any:
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])
        return self.prediction.GetModelMetadata(request, timeout=10)

    def status(self, spec: Any) -> Any:
        return self.model.GetModelStatus(get_model_status_pb2.GetModelStatusRequest(model_spec=spec), timeout=10)

    def states(self, name: str) -> str:
        found = self.status(model_pb2.ModelSpec(name=name)).model_version_status
        return ", ".join(f"{one.version} {STATES[one.state]}" for one in found)

    def wait_states(self, name: str, states: str, timeout: float = 20) -> None:
        until(lambda: self.states(name) == states, timeout=timeout, what=f"{name}: {states}")

    def reload(self, config_text: str, timeout: float = 20) -> Any:
        request = model_management_pb2.ReloadConfigRequest()
        text_format.Parse(config_text, request.config)
        return self.model.HandleReloadConfigRequest(request, timeout=timeout)

    def http(self, method: str, path: str, body: str | bytes | None = None, **headers: str) -> requests.Response:
        """The path goes out as it is: no normalising, no escaping."""
        url = self.server.rest_url + path
        prepared = requests.Request(method, self.server.rest_url, data=body, headers=headers).prepare()
        prepared.url = url
        return self._http.send(prepared, timeout=20)

    def sample(self, name: str, labels: str) -> float:
        """A sample of the metrics page, 0 when it is not there. `labels` is the text between the braces."""
        line = f":tensorflow:{name}{{{labels}}} "
        page = self.http("GET", "/monitoring/prometheus/metrics").content.decode("utf-8", "replace")
        return next((float(row.removeprefix(line)) for row in page.split("\n") if row.startswith(line)), 0.0)


def predict_request(
    name: str,
    *,
    version: int | None = None,
    label: str = "",
    signature: str = "",
    inputs: Mapping[str, Any] | None = None,
    dtype: Any = tf.float32,
    output_filter: list[str] | None = None,
) -> Any:
    request = predict_pb2.PredictRequest(model_spec=spec(name, version, label), output_filter=output_filter or [])
    request.model_spec.signature_name = signature
    for key, value in ({"x": [1.0, 2.0]} if inputs is None else inputs).items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value, dtype))
    return request


def spec(name: str, version: int | None = None, label: str = "") -> Any:
    made = model_pb2.ModelSpec(name=name)
    if version is not None:
        made.version.value = version
    if label:
        made.version_label = label
    return made


def refusal(call: Callable[[], object]) -> str:
    """The code and the message of a call that must fail."""
    try:
        answer = call()
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
    raise AssertionError(f"the call succeeded: {answer}")


def models_config(root: Path, models: Mapping[str, str]) -> str:
    """A ModelServerConfig of models below `root`, each with more text of its own."""
    entries = [
        f'config {{ name: "{name}" base_path: "{root / name}" model_platform: "tensorflow" {more} }}'
        for name, more in models.items()
    ]
    return "model_config_list { " + "\n".join(entries) + " }"
