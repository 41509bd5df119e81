"""Predict, metadata and status on the gRPC port, with the official messages."""

from __future__ import annotations

import re
import threading
import time

import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    predict_pb2,
)

from airbag_demo.model_server.grpc_api import GrpcApi
from airbag_demo.model_server.metrics import ServerMetrics
from airbag_demo.model_server.setting import Setting
from tests.demo.model_server.client import Client, predict_request, refusal, spec


def test_predict_answers_from_the_highest_version_and_says_which(client: Client) -> None:
    response = client.predict()
    assert tf.make_ndarray(response.outputs["y"]).tolist() == [4.0, 7.0]
    assert (response.model_spec.name, response.model_spec.version.value) == ("m", 2)
    assert response.model_spec.signature_name == "serving_default"


def test_values_come_in_the_field_of_their_type(client: Client) -> None:
    tensor = client.predict().outputs["y"]
    assert list(tensor.float_val) == [4.0, 7.0]
    assert not tensor.tensor_content


def test_predict_answers_from_the_version_or_label_that_is_asked_for(client: Client) -> None:
    assert client.predict(version=1).outputs["y"].float_val[0] == 2.0
    assert client.predict(label="stable").model_spec.version.value == 1


def test_an_output_filter_leaves_the_others_out(client: Client) -> None:
    inputs = {"a": 2.0, "b": 3.0}
    response = client.predict("pair", inputs=inputs, output_filter=["product"])
    assert {name: one.float_val[0] for name, one in response.outputs.items()} == {"product": 6.0}
    assert refusal(lambda: client.predict("pair", inputs=inputs, output_filter=["quotient"])).startswith(
        "INVALID_ARGUMENT: output tensor alias not found in signature: quotient"
    )


def test_strings_pass_unharmed(client: Client) -> None:
    response = client.predict("echo", inputs={"s": [b"\xff\x00", b"plain"]}, dtype=tf.string)
    assert list(response.outputs["text"].string_val) == [b"\xff\x00", b"plain"]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"name": "nope"}, "NOT_FOUND: Servable not found for request: Latest(nope)"),
        ({"name": "m", "version": 9}, "NOT_FOUND: Servable not found for request: Specific(m, 9)"),
        ({"name": "m", "label": "x"}, "INVALID_ARGUMENT: Unrecognized servable version label: x"),
        ({"name": ""}, "INVALID_ARGUMENT: ModelSpec has no name specified."),
        ({"name": "m", "signature": "S"}, 'FAILED_PRECONDITION: Serving signature key "S" not found.'),
        ({"name": "pair", "inputs": {"a": 1.0}},
         "INVALID_ARGUMENT: input size does not match signature: 1!=2 len({a}) != len({a,b}). Sent extra: {}. "
         "Missing but required: {b}."),
        ({"name": "m", "inputs": {"x": [1]}, "dtype": tf.int64},
         "INVALID_ARGUMENT: Expects arg[0] to be float but int64 is provided"),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_answered_is_refused_in_the_real_servers_words(
    client: Client, request_: dict[str, object], expected: str
) -> None:
    assert refusal(lambda: client.predict(**request_)) == expected  # type: ignore[arg-type]


def test_an_error_inside_the_graph_keeps_its_code_and_text(client: Client) -> None:
    said = refusal(lambda: client.predict("failing"))
    assert said.startswith("INVALID_ARGUMENT: assertion failed: [this model is broken]\n\t [[{{")


def test_a_model_without_its_variables_is_available_and_fails_every_request(client: Client) -> None:
    assert client.states("hollow") == "1 AVAILABLE"
    assert refusal(lambda: client.predict("hollow")).startswith("FAILED_PRECONDITION: ")


def test_the_clients_deadline_ends_the_run_in_the_server(client: Client) -> None:
    before = client.sample("serving:request_count", 'model_name="slow",status="DEADLINE_EXCEEDED"')
    assert refusal(lambda: client.predict("slow", timeout=0.1)).startswith("DEADLINE_EXCEEDED")
    client_side = 'model_name="slow",status="DEADLINE_EXCEEDED"'
    deadline = time.monotonic() + 5
    while client.sample("serving:request_count", client_side) == before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert client.sample("serving:request_count", client_side) == before + 1


def test_slow_requests_run_side_by_side(client: Client) -> None:
    """12 requests of 0.3 s each take 3.6 s one after the other."""
    threads = [threading.Thread(target=client.predict, args=("slow",)) for _ in range(12)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started < 2.4


def test_more_calls_at_a_time_than_threads_are_refused_and_not_counted(client: Client) -> None:
    said: list[str] = []
    labels = 'model_name="slow",status="RESOURCE_EXHAUSTED"'

    def call() -> None:
        try:
            client.predict("slow")
        except Exception as error:  # noqa: BLE001 - every refusal is looked at below
            said.append(f"{error.code().name}: {error.details()}")  # type: ignore[attr-defined]

    threads = [threading.Thread(target=call) for _ in range(36)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(said) == {"RESOURCE_EXHAUSTED: Server Threadpool Exhausted"}
    assert client.sample("serving:request_count", labels) == 0


def test_metadata_says_which_version_answers_and_what_it_takes(client: Client) -> None:
    response = client.metadata(spec("m", label="stable"))
    assert (response.model_spec.name, response.model_spec.version.value) == ("m", 1)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert list(signatures.signature_def["serving_default"].inputs) == ["x"]
    assert client.metadata(spec("m")).model_spec.version.value == 2


def test_metadata_is_refused_like_predict(client: Client) -> None:
    assert refusal(lambda: client.metadata(spec("nope"))) == "NOT_FOUND: Servable not found for request: Latest(nope)"
    empty = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    assert refusal(lambda: client.prediction.GetModelMetadata(empty)) == "INVALID_ARGUMENT: Missing ModelSpec"
    other = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec("m"), metadata_field=["weights"])
    assert refusal(lambda: client.prediction.GetModelMetadata(other)) == (
        "INVALID_ARGUMENT: Metadata field weights is not supported"
    )


def test_status_lists_versions_newest_first_and_ignores_a_label(client: Client) -> None:
    assert client.states("m") == "2 AVAILABLE, 1 AVAILABLE"
    assert [one.version for one in client.status(spec("m", label="nonsense")).model_version_status] == [2, 1]
    assert [one.version for one in client.status(spec("m", 1)).model_version_status] == [1]


def test_status_of_what_is_unknown_is_refused(client: Client) -> None:
    assert refusal(lambda: client.status(spec("m", 7))) == "NOT_FOUND: Could not find version 7 of model m"
    assert refusal(lambda: client.status(spec("zz"))) == "NOT_FOUND: Could not find any versions of model zz"
    empty = get_model_status_pb2.GetModelStatusRequest()
    assert refusal(lambda: client.model.GetModelStatus(empty)) == "INVALID_ARGUMENT: Missing ModelSpec"


def test_a_reload_without_a_list_is_refused(client: Client) -> None:
    empty = model_management_pb2.ReloadConfigRequest()
    assert refusal(lambda: client.model.HandleReloadConfigRequest(empty)).startswith("INVALID_ARGUMENT: ")
    assert client.states("m") == "2 AVAILABLE, 1 AVAILABLE"


def test_a_long_message_is_cut(client: Client) -> None:
    said = refusal(lambda: client.predict("x" * 2000))
    assert said.endswith("xxx...TRUNCATED")
    assert len(said) == len("NOT_FOUND: ") + 1024 + len("...TRUNCATED")


def test_a_predict_without_a_model_spec_is_counted_without_a_name(client: Client) -> None:
    labels = 'model_name="",status="INVALID_ARGUMENT"'
    before = client.sample("serving:request_count", labels)
    assert refusal(lambda: client.prediction.Predict(predict_pb2.PredictRequest())) == (
        "INVALID_ARGUMENT: Missing ModelSpec"
    )
    assert client.sample("serving:request_count", labels) == before + 1


def test_predict_is_counted_and_timed_only_when_it_succeeds(client: Client) -> None:
    latency = 'model_name="pair",API="Predict",entrypoint="GRPC"'
    client.predict("pair", inputs={"a": 1.0, "b": 1.0})
    counted = client.sample("serving:request_latency_count", latency)
    ran = client.sample("serving:runtime_latency_count", 'model_name="pair",API="Predict",runtime="TF1"')
    refused = client.sample("serving:request_count", 'model_name="pair",status="INVALID_ARGUMENT"')
    assert refusal(lambda: client.prediction.Predict(predict_request("pair", inputs={"a": 1.0})))
    assert client.sample("serving:request_count", 'model_name="pair",status="INVALID_ARGUMENT"') == refused + 1
    assert client.sample("serving:request_latency_count", latency) == counted
    assert client.sample("serving:runtime_latency_count", 'model_name="pair",API="Predict",runtime="TF1"') == ran


def test_status_metadata_and_reload_over_grpc_are_not_counted(client: Client) -> None:
    def total() -> int:
        page = client.http("GET", "/monitoring/prometheus/metrics").text
        found = re.findall(r"^:tensorflow:serving:request_count\{.*?\} (\d+)$", page, re.MULTILINE | re.DOTALL)
        return sum(map(int, found))

    before = total()
    client.states("m")
    client.metadata(spec("m"))
    refusal(lambda: client.model.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest()))
    assert total() == before


def test_a_warm_up_is_replayed_before_the_version_serves(client: Client, model_root: object) -> None:
    path = f"{model_root}/warm/1"
    assert client.sample("serving:model_warmup_records_read", f'model_path="{path}",status="OK"') == 1
    assert client.sample("serving:runtime_latency_count", 'model_name="warm",API="Predict",runtime="TF1"') == 1
    assert client.sample("serving:request_count", 'model_name="warm",status="OK"') == 0
    assert client.sample("cc:saved_model:load_attempt_count", f'model_path="{path}",status="success"') == 1


def test_a_load_is_two_runs_of_the_session_and_a_new_set_of_tensors_builds_a_graph(client: Client) -> None:
    def counts() -> list[float]:
        names = ("graph_build_calls", "direct_session_runs", "graph_run_output_tensor_bytes_count")
        return [client.sample(f"core:{name}", "") for name in names]

    inputs = {"a": 1.0, "b": 1.0}
    client.predict("pair", inputs=inputs, output_filter=["sum"])
    before = counts()
    client.predict("pair", inputs=inputs, output_filter=["sum"])
    assert [now - then for now, then in zip(counts(), before, strict=True)] == [0, 1, 1]
    client.predict("pair", inputs=inputs, output_filter=["product", "sum"])
    builds, runs, answers = counts()
    client.predict("pair", inputs=inputs)
    assert counts() == [builds, runs + 1, answers + 1]
    assert runs - answers >= 2 * len(["m/1", "m/2", "failing", "slow", "pair", "echo", "warm"])


def test_a_reload_says_by_how_much_the_metrics_it_names_have_grown(client: Client) -> None:
    request = model_management_pb2.ReloadConfigRequest(metric_names=["/tensorflow/serving/request_count", "/none"])
    request.config.model_config_list.SetInParent()
    assert GrpcApi(_Growing(metrics := ServerMetrics()), Setting(metrics)).reload(request, None).metric == [
        model_management_pb2.Metric(name="/tensorflow/serving/request_count", int64_value_increase=3),
        model_management_pb2.Metric(name="/none", int64_value_increase=0),
    ]


class _Growing:
    """A core whose reload lets a counter grow."""

    def __init__(self, metrics: ServerMetrics) -> None:
        self._metrics = metrics
        metrics.request_count.add("m", "OK", by=7)

    def reload(self, _: object) -> None:
        self._metrics.request_count.add("m", "OK", by=3)
