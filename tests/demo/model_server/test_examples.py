"""Classify, Regress and MultiInference over gRPC, and classify and regress over REST."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    predict_pb2,
    prediction_log_pb2,
    regression_pb2,
    session_service_pb2,
)

from tests.demo.model_server.client import Client, models_config, refusal, spec
from tests.demo.model_server.example_models import (
    CLASSIFY,
    REGRESS,
    example,
    examples_model,
    log_of,
    record,
)
from tests.fakes import model_server

TWO = (example(a=2.0), example(a=3.0, b=4.0))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`e` in versions 1 and 2; `warm` with one warm-up record of each kind; `unwarmed`, `torn` and `long` whose
    warm-up cannot be replayed to its end."""
    root = tmp_path_factory.mktemp("examples")
    for version in (1, 2):
        examples_model(root / "e", version)
    record(
        examples_model(root / "warm", 1),
        log_of("classify", classification("classify", model="warm")),
        log_of("regress", regression(model="warm")),
        log_of("multi_inference", several(("classify", CLASSIFY), model="warm")),
        prediction_log_pb2.PredictionLog(),
    )
    return root


@pytest.fixture(scope="module")
def client(root: Path) -> Iterator[Client]:
    """A client of a server that serves `e` and `warm`. Tests must leave it as it is."""
    config = root / "models.config"
    config.write_text(models_config(root, {"e": "model_version_policy { all {} }", "warm": ""}))
    flags = ("--num_request_iterations_for_warmup=3", "--max_num_load_retries=0", "--num_load_threads=1")
    with model_server.running(*flags, config_file=config) as server, Client(server) as client:
        client.wait_states("e", "2 AVAILABLE, 1 AVAILABLE")
        yield client


def classification(signature: str, examples: Iterable[Any] = TWO, context: Any = None, model: str = "e") -> Any:
    return _filled(classification_pb2.ClassificationRequest(model_spec=spec(model)), signature, examples, context)


def regression(signature: str = "", examples: Iterable[Any] = TWO, context: Any = None, model: str = "e") -> Any:
    return _filled(regression_pb2.RegressionRequest(model_spec=spec(model)), signature, examples, context)


def several(*tasks: tuple[str, str], examples: Iterable[Any] = TWO, model: str = "e") -> Any:
    request = inference_pb2.MultiInferenceRequest()
    for signature, method in tasks:
        task = request.tasks.add(model_spec=spec(model), method_name=method)
        task.model_spec.signature_name = signature
    request.input.example_list.examples.extend(examples)
    return request


def _filled(request: Any, signature: str, examples: Iterable[Any], context: Any) -> Any:
    request.model_spec.signature_name = signature
    listed = request.input.example_list
    if context is not None:
        listed = request.input.example_list_with_context
        listed.context.CopyFrom(context)
    listed.examples.extend(examples)
    return request


def classes(result: Any) -> list[list[tuple[str, float]]]:
    return [[(one.label, one.score) for one in row.classes] for row in result.classifications]


def values(result: Any) -> list[float]:
    return [one.value for one in result.regressions]


@pytest.mark.parametrize(
    ("signature", "found"),
    [
        ("classify", [[("low", 2.0), ("high", 10.0)], [("low", 3.0), ("high", 4.0)]]),
        ("labels", [[("low", 0.0), ("high", 0.0)], [("low", 0.0), ("high", 0.0)]]),
        ("scores", [[("", 2.0), ("", 10.0)], [("", 3.0), ("", 4.0)]]),
    ],
)
def test_classify_gives_labels_and_scores_as_far_as_the_signature_has_them(
    client: Client, signature: str, found: list[list[tuple[str, float]]]
) -> None:
    response = client.prediction.Classify(classification(signature), timeout=20)
    assert classes(response.result) == found
    assert (response.model_spec.name, response.model_spec.signature_name) == ("e", signature)
    assert response.model_spec.version.value == 2


def test_regress_gives_a_number_for_each_example(client: Client) -> None:
    response = client.prediction.Regress(regression(), timeout=20)
    assert values(response.result) == [12.0, 7.0]
    assert (response.model_spec.signature_name, response.model_spec.version.value) == ("serving_default", 2)


def test_a_context_fills_what_an_example_does_not_say_itself(client: Client) -> None:
    response = client.prediction.Regress(regression(context=example(b=100.0)), timeout=20)
    assert values(response.result) == [102.0, 7.0]


def test_several_inferences_share_one_run_and_say_their_version(client: Client) -> None:
    before = client.sample("core:direct_session_runs", "")
    response = client.prediction.MultiInference(several(("classify", CLASSIFY), ("", REGRESS)), timeout=20)
    assert client.sample("core:direct_session_runs", "") == before + 1
    first, second = response.results
    assert classes(first.classification_result)[1] == [("low", 3.0), ("high", 4.0)]
    assert values(second.regression_result) == [12.0, 7.0]
    assert [(one.model_spec.name, one.model_spec.signature_name, one.model_spec.version.value)
            for one in response.results] == [("e", "classify", 2), ("e", "serving_default", 2)]  # fmt: skip


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (classification("nope"), "No signature was found with the name: nope"),
        (classification("two inputs"), "Expected one input Tensor."),
        (classification("three outputs"), "Expected one or two output Tensors, found 3"),
        (classification("other input"), "No classification inputs found in SignatureDef: inputs"),
        (classification("regress"), "Expected classification signature outputs to contain at least one of "
                                    '"classes" or "scores". Signature was: inputs'),
        (classification("flat scores"), "Expected Tensor shape: [batch_size num_classes] but got [2]"),
        (classification("swapped"), "Expected classes Tensor of DT_STRING. Got: DT_FLOAT"),
        (classification("words as scores"), "Expected scores Tensor of DT_FLOAT. Got: DT_STRING"),
        (classification("uneven"), "Tensors class and score should match in dim_size(1). Got 2 vs. 3"),
        (classification("classify", []), "Input is empty."),
        (classification_pb2.ClassificationRequest(), "Missing ModelSpec"),
        (classification("classify", model=""), "ModelSpec has no name specified."),
        (regression("nope"), "No signature was found with the name: nope"),
        (regression("two inputs"), "Expected one input Tensor."),
        (regression("classify"), "Expected one output Tensor."),
        (regression("other input"), "No regression inputs found in SignatureDef: inputs"),
        (regression("other output"), "No regression outputs found in SignatureDef: inputs"),
        (regression("wide"), "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,2]"),
        (regression("one"), "Input batch size did not match output batch size: 2 vs. 1"),
        (regression("whole"), "Expected output Tensor of DT_FLOAT.  Got: DT_INT64"),
        (regression("", []), "Input is empty."),
        (several(("nope", REGRESS)), "Requested signature not found in model graph: nope"),
        (several(("", REGRESS), ("serving_default", REGRESS)), "Duplicate evaluation of signature: serving_default"),
        (several(("", CLASSIFY)), "Expected classification signature outputs to contain at least one of"),
        (several(("classify", REGRESS)), "Expected one output Tensor."),
        (several(("", REGRESS), examples=[]), "Input is empty."),
        (inference_pb2.MultiInferenceRequest(), "ModelSpec has no name specified."),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused_in_the_real_servers_words(client: Client, ask: Any, said: str) -> None:
    found = refusal(lambda: _method(client, ask)(ask, timeout=20))
    assert found.startswith(f"INVALID_ARGUMENT: {said}")


def test_one_request_for_several_inferences_is_for_one_model_and_known_methods(client: Client) -> None:
    mixed = several(("", REGRESS), ("classify", CLASSIFY))
    mixed.tasks[1].model_spec.name = "warm"
    assert refusal(lambda: client.prediction.MultiInference(mixed)) == (
        "INVALID_ARGUMENT: All ModelSpecs in a MultiInferenceRequest must access the same model name."
    )
    mixed.tasks[1].model_spec.name = ""
    assert refusal(lambda: client.prediction.MultiInference(mixed)) == (
        "INVALID_ARGUMENT: Found ModelSpec with an empty model name."
    )
    other = several(("", "tensorflow/serving/predict"))
    assert refusal(lambda: client.prediction.MultiInference(other)) == (
        "UNIMPLEMENTED: Unsupported signature method_name: tensorflow/serving/predict"
    )


@pytest.mark.parametrize(
    ("ask", "api"), [(classification("classify"), "Classify"), (regression(), "Regress")], ids=["classify", "regress"]
)
def test_classify_and_regress_are_counted_like_predict_and_their_examples_are_not(
    client: Client, ask: Any, api: str
) -> None:
    def counts() -> list[float]:
        return [
            client.sample("serving:request_count", 'model_name="e",status="OK"'),
            client.sample("serving:request_latency_count", f'model_name="e",API="{api}",entrypoint="GRPC"'),
            client.sample("serving:runtime_latency_count", f'model_name="e",API="{api}",runtime="TF1"'),
            client.sample("serving:request_count", 'model_name="e",status="INVALID_ARGUMENT"'),
            client.sample("serving:request_example_count_total", 'model="e"'),
        ]

    before = counts()
    _method(client, ask)(ask, timeout=20)
    refused = type(ask)()
    refused.CopyFrom(ask)
    refused.model_spec.signature_name = "nope"
    refusal(lambda: _method(client, refused)(refused, timeout=20))
    assert [now - then for now, then in zip(counts(), before, strict=True)] == [1, 1, 1, 1, 0]


def test_only_several_inferences_count_examples_and_nothing_else(client: Client) -> None:
    def counts() -> list[float]:
        page = client.http("GET", "/monitoring/prometheus/metrics").text.split("\n")
        others = (":tensorflow:serving:request_count{", ":tensorflow:serving:runtime_latency_count{")
        return [
            client.sample("serving:request_example_count_total", 'model="e"'),
            client.sample("serving:request_example_counts_sum", 'model="e"'),
            client.sample("serving:request_example_counts_bucket", 'model="e",le="2"'),
            client.sample("serving:request_example_counts_bucket", 'model="e",le="4"'),
            sum(float(line.rsplit(" ", 1)[1]) for line in page if line.startswith(others)),
        ]

    before = counts()
    client.prediction.MultiInference(several(("", REGRESS)), timeout=20)
    refusal(lambda: client.prediction.MultiInference(several(("nope", REGRESS)), timeout=20))
    assert [now - then for now, then in zip(counts(), before, strict=True)] == [2, 2, 0, 1, 0]


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("e:regress", {"examples": [{"a": 2.0}, {"a": [3.0], "b": 0.1}]}, '{\n    "results": [12.0, 3.1]\n}'),
        ("e/versions/1:regress", {"context": {"b": 100.0}, "examples": [{"a": 2.0}, {"b": 4.0}]},
         '{\n    "results": [102.0, 5.0]\n}'),
        ("e:classify", {"signature_name": "classify", "examples": [{"a": 0.5}, {}]},
         '{\n    "results": [[["low", 0.5], ["high", 10.0]], [["low", 1.0], ["high", 10.0]]\n    ]\n}'),
    ],
)  # fmt: skip
def test_examples_over_rest_answer_byte_for_byte(client: Client, path: str, body: object, expected: str) -> None:
    verb = path.rpartition(":")[2]
    labels = f'model_name="e",API="{verb}",entrypoint="REST"'
    ran = f'model_name="e",API="{verb.capitalize()}",runtime="TF1"'
    before = client.sample("serving:request_latency_count", labels), client.sample("serving:runtime_latency_count", ran)
    response = client.http("POST", f"/v1/models/{path}", json.dumps(body))
    assert (response.status_code, response.text) == (200, expected)
    assert client.sample("serving:request_latency_count", labels) == before[0] + 1
    assert client.sample("serving:runtime_latency_count", ran) == before[1] + 1


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("e:classify", {"examples": [{}]}, 400, "Expected classification signature outputs to contain at least one of"),
        ("e:regress", {}, 400,
         "JSON Value: {} When method is classify, key 'examples' is expected and was not found"),
        ("e:regress", {"examples": {}}, 400,
         'JSON Value: {\n    "examples": {}\n} Expecting \'examples\' value to be an list/array'),
        ("e:regress", {"examples": []}, 400,
         'JSON Value: {\n    "examples": []\n} \'examples\' value is an empty array'),
        ("e:regress", {"examples": [1]}, 400, "Example must be JSON object but got JSON Number"),
        ("e:regress", {"context": [], "examples": [{}]}, 400, "Example must be JSON object but got JSON Array"),
        ("e:regress", {"examples": [{"a": None}]}, 400, "Feature: a has element with unexpected JSON type: Null"),
        ("e:regress", {"examples": [{"a": {"x": 1}}]}, 400, "Feature: a has element with unexpected JSON type: Object"),
        ("e:regress", {"examples": [{"a": [[1]]}]}, 400, "Feature: a has element with unexpected JSON type: Array"),
        ("e:regress", {"examples": [{"a": [1, 2.0]}]}, 400,
         "Unexpected element type in feature: a expecting type: int64"),
        ("e:regress", {"examples": [{"a": ["x", True]}]}, 400,
         "Unexpected element type in feature: a expecting type: bytes"),
        ("e:regress", {"examples": [{"a": [1.0, "x"]}]}, 400,
         "Unexpected element type in feature: a expecting type: float"),
        ("e:regress", {"examples": [{"a": 2**63}]}, 400,
         "Feature: a has uint64_t element. Only int64_t is supported."),
        ("e:regress", {"examples": [{"a": {"b64": "?"}}]}, 400, "Unable to base64 decode"),
        ("e:regress", {"signature_name": 1, "examples": [{}]}, 400,
         "JSON Value: {\n    \"signature_name\": 1,\n    \"examples\": [{}]\n} not formatted correctly. "
         "'signature_name' key must be a string value."),
        ("nope:regress", {"examples": [{}]}, 404, "Servable not found for request: Latest(nope)"),
        ("e/labels/x:classify", {"examples": [{}]}, 400, "Unrecognized servable version label: x"),
    ],
)  # fmt: skip
def test_examples_over_rest_are_refused_in_the_real_servers_words(
    client: Client, path: str, body: object, status: int, said: str
) -> None:
    response = client.http("POST", f"/v1/models/{path}", json.dumps(body))
    assert response.status_code == status
    assert response.json()["error"].startswith(said)


def test_a_wrong_kind_of_feature_is_for_the_graph_to_judge(client: Client) -> None:
    body = {"examples": [{"a": {"b64": "eA=="}}]}
    response = client.http("POST", "/v1/models/e:regress", json.dumps(body))
    assert response.status_code == 400
    assert "Data types don't match" in response.json()["error"]


def test_a_warm_up_replays_every_kind_of_record_as_often_as_it_is_told(client: Client, root: Path) -> None:
    page = client.http("GET", "/monitoring/prometheus/metrics").text
    for api in ("Classify", "Regress"):
        assert f'runtime_latency_count{{model_name="warm",API="{api}",runtime="TF1"}} 3\n' in page
    assert ':request_example_count_total{model="warm"} 6\n' in page
    assert f':model_warmup_records_read{{model_path="{root}/warm/1",status="OK"}} 4\n' in page


def test_a_session_run_in_the_warm_up_is_refused(client: Client, root: Path) -> None:
    log = log_of("session_run", session_service_pb2.SessionRunRequest())
    assert _failed_load(client, root, "unwarmed", log) == (12, "Unsupported log_type for warmup: 5")


def test_a_warm_up_may_hold_a_thousand_records(client: Client, root: Path) -> None:
    code, said = _failed_load(client, root, "long", *[prediction_log_pb2.PredictionLog()] * 1001)
    assert code == 3
    assert said.startswith("Number of warmup records exceeds the maximum (1000) at ")


def test_a_torn_warm_up_is_counted_under_its_error_and_fails_the_load(client: Client, root: Path) -> None:
    code, said = _failed_load(client, root, "torn", after=lambda file: file.write_bytes(b"x" * 40))
    assert code == 15
    assert said.endswith(". Please verify your warmup data is in TFRecord format.")
    page = client.http("GET", "/monitoring/prometheus/metrics").text
    status = f"DATA_LOSS: {said.removesuffix('. Please verify your warmup data is in TFRecord format.')}"
    assert f':model_warmup_records_read{{model_path="{root}/torn/1",status="{status}"}} 0\n' in page


def test_with_the_check_a_signature_answers_only_the_calls_of_its_method(root: Path) -> None:
    flags = ("--enable_signature_method_name_check", "--enable_serialization_as_tensor_content")
    with (
        model_server.running(*flags, base_path=root / "e", model_name="e") as server,
        Client(server) as client,
    ):
        assert values(client.prediction.Regress(regression("regress"), timeout=20).result) == [12.0, 7.0]
        for ask, said in (
            (regression("unnamed"), "regression signature method_name to be tensorflow/serving/regress. Was: "),
            (
                classification("unnamed"),
                "classification signature method_name to be tensorflow/serving/classify. Was: ",
            ),
            (several(("unnamed", REGRESS)), "regression signature method_name to be tensorflow/serving/regress. Was: "),
        ):
            assert (
                refusal(lambda ask=ask: _method(client, ask)(ask, timeout=20)) == f"INVALID_ARGUMENT: Expected {said}"
            )
        assert refusal(lambda: client.prediction.Predict(_predict("unnamed"), timeout=20)) == (
            "INTERNAL: Expected prediction signature method_name to be one of {tensorflow/serving/predict, "
            "tensorflow/serving/classify, tensorflow/serving/regress}. Was: "
        )
        tensor = client.prediction.Predict(_predict("regress"), timeout=20).outputs["outputs"]
        assert (len(tensor.tensor_content), len(tensor.float_val)) == (8, 0)


def test_an_input_with_a_default_may_be_left_out_of_a_predict(client: Client) -> None:
    request = _predict("defaulted")
    assert list(client.prediction.Predict(request, timeout=20).outputs["outputs"].float_val) == [60.0, 35.0]
    request.inputs["factor"].CopyFrom(tf.make_tensor_proto(2.0, tf.float32))
    assert list(client.prediction.Predict(request, timeout=20).outputs["outputs"].float_val) == [24.0, 14.0]
    del request.inputs["inputs"]
    assert refusal(lambda: client.prediction.Predict(request, timeout=20)).startswith("INVALID_ARGUMENT: ")


def _predict(signature: str) -> Any:
    request = predict_pb2.PredictRequest(model_spec=spec("e"))
    request.model_spec.signature_name = signature
    tensor = request.inputs["inputs"]
    tensor.dtype = 7
    tensor.tensor_shape.dim.add(size=2)
    tensor.string_val.extend(one.SerializeToString() for one in TWO)
    return request


def _method(client: Client, request: Any) -> Callable[..., Any]:
    found: Callable[..., Any] = {
        classification_pb2.ClassificationRequest: client.prediction.Classify,
        regression_pb2.RegressionRequest: client.prediction.Regress,
        inference_pb2.MultiInferenceRequest: client.prediction.MultiInference,
    }[type(request)]
    return found


def _failed_load(
    client: Client, root: Path, name: str, *logs: Any, after: Callable[[Path], object] = lambda _: None
) -> tuple[int, str]:
    """Serve a new model with this warm-up, which must fail; its status."""
    made = examples_model(root / "making" / name, 1)
    record(made, *logs)
    after(made / "assets.extra" / "tf_serving_warmup_requests")
    (root / name).mkdir()
    made.rename(root / name / "1")
    kept = {"e": "model_version_policy { all {} }", "warm": ""}
    refusal(lambda: client.reload(models_config(root, kept | {name: ""})))
    status = client.status(spec(name, 1)).model_version_status[0].status
    client.reload(models_config(root, kept))
    return status.error_code, status.error_message
