"""What the suite says to a server and hears from it: official messages over gRPC, plain HTTP, the metrics page."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import grpc
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    input_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

from tests.conformance.kit.page import Page

METRICS_PATH = "/monitoring/prometheus/metrics"
STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}
DEADLINE = 60.0

Spec = Any  # the official messages ship no types
Config = Any


@dataclass(frozen=True)
class Reply:
    """An HTTP answer. Header names are as sent."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "surrogateescape")

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The message of an error body."""
        return str(self.json()["error"])


class Wire:
    """One server's two ports. `rest` is None when nothing is known of it."""

    def __init__(self, target: str, rest: str | None, credentials: grpc.ChannelCredentials | None = None) -> None:
        self.target, self.rest = target, rest
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        if credentials is None:
            self.channel = grpc.insecure_channel(target, options=options)
        else:
            self.channel = grpc.secure_channel(target, credentials, options=options)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.channel.close()

    def predict(self, name: str, *, timeout: float | None = DEADLINE, **more: Any) -> Any:
        return self.prediction.Predict(predict_request(name, **more), timeout=timeout)

    def classify(self, spec: Spec, examples: Any) -> Any:
        request = classification_pb2.ClassificationRequest(model_spec=spec, input=examples)
        return self.prediction.Classify(request, timeout=DEADLINE)

    def regress(self, spec: Spec, examples: Any) -> Any:
        request = regression_pb2.RegressionRequest(model_spec=spec, input=examples)
        return self.prediction.Regress(request, timeout=DEADLINE)

    def multi_inference(self, tasks: Sequence[tuple[Spec, str]], examples: Any) -> Any:
        request = inference_pb2.MultiInferenceRequest(input=examples)
        for spec, method in tasks:
            request.tasks.add(model_spec=spec, method_name=f"tensorflow/serving/{method}")
        return self.prediction.MultiInference(request, timeout=DEADLINE)

    def metadata(self, spec: Spec | None, field: str = "signature_def") -> Any:
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=[field])
        return self.prediction.GetModelMetadata(request, timeout=DEADLINE)

    def status(self, spec: Spec | None) -> Any:
        return self.model.GetModelStatus(get_model_status_pb2.GetModelStatusRequest(model_spec=spec), timeout=DEADLINE)

    def reload(self, config: Config | None, timeout: float = DEADLINE, metric_names: Sequence[str] = ()) -> Any:
        request = model_management_pb2.ReloadConfigRequest(config=config, metric_names=metric_names)
        return self.model.HandleReloadConfigRequest(request, timeout=timeout)

    def versions(self, name: str) -> dict[int, str]:
        """The state of each version of a model, in the order of the answer."""
        return {one.version: STATES[one.state] for one in self.status(spec(name)).model_version_status}

    def states(self, name: str) -> str:
        """All versions in one line: `2 AVAILABLE, 1 END`."""
        return ", ".join(f"{version} {state}" for version, state in self.versions(name).items())

    def end_of(self, name: str, version: int) -> tuple[int, str]:
        """The error code and the message that a version's status carries."""
        status = self.status(spec(name, version)).model_version_status[0].status
        return status.error_code, status.error_message

    def serving(self, name: str, label: str = "") -> int:
        """The version that answers, as GetModelMetadata says."""
        return int(self.metadata(spec(name, label=label)).model_spec.version.value)

    def http(
        self, method: str, path: str, body: str | bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """The path goes out as it is: no normalising, no escaping. One connection per request."""
        assert self.rest is not None
        connection = http.client.HTTPConnection(self.rest, timeout=DEADLINE)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def page(self) -> Page:
        reply = self.http("GET", METRICS_PATH)
        assert reply.status == 200, reply.text
        return Page(reply.body)


def spec(name: str, version: int | None = None, label: str = "", signature: str = "") -> Spec:
    made = model_pb2.ModelSpec(name=name, signature_name=signature)
    if version is not None:
        made.version.value = version
    if label:
        made.version_label = label
    return made


def predict_request(
    name: str,
    *,
    version: int | None = None,
    label: str = "",
    signature: str = "",
    inputs: Mapping[str, Any] | None = None,
    dtype: Any = tf.float32,
) -> Any:
    request = predict_pb2.PredictRequest(model_spec=spec(name, version, label, signature))
    for key, value in ({"x": [1.0]} if inputs is None else inputs).items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value, dtype))
    return request


def examples(*values: float) -> Any:
    """One tf.Example with the feature `x` for each value."""
    made = input_pb2.Input()
    made.example_list.SetInParent()
    for value in values:
        made.example_list.examples.add().features.feature["x"].float_list.value.append(value)
    return made


def parse_config(text: str) -> Config:
    return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())


def refusal(call: Callable[[], object]) -> str:
    """The code and the message of a call that must fail: `NOT_FOUND: ...`."""
    try:
        answer = call()
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
    raise AssertionError(f"the call succeeded: {answer}")
