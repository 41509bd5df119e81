"""§2.1, §2.3 and the gRPC rows of §3: services, status, metadata, Predict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from tests.conformance.kit.rows import row, table
from tests.conformance.kit.watch import Call
from tests.conformance.kit.wire import examples, predict_request, refusal, spec
from tests.conformance.kit.world import World, specific
from tests.fakes import saved_models

Ask = Callable[[World], object]


@pytest.mark.parametrize(
    "method",
    table(
        "2.1",
        {
            "SessionService.SessionRun is not registered": "/tensorflow.serving.SessionService/SessionRun",
            "there is no reflection": "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            "there is no admin service": "/tensorflow.serving.AdminService/UpdateModelVersion",
        },
        evidence="S",
    ),
)
def test_what_is_not_there(world: World, method: str) -> None:
    call = world.wire.channel.unary_unary(method)
    assert refusal(lambda: call(b"", timeout=30)).startswith("UNIMPLEMENTED")


@pytest.mark.parametrize(
    "name",
    table(
        "2.1",
        {f"the health service says SERVING for {name}": name for name in ("ModelService", "PredictionService")},
        needs=("health",),
        evidence="S",
    ),
)
def test_health(world: World, name: str) -> None:
    call = world.wire.channel.unary_unary("/grpc.health.v1.Health/Check")
    request = b"\x0a" + bytes([len(name)]) + name.encode()
    assert call(request, timeout=30) == b"\x08\x01"


@row("2.1", group="inline", evidence="S")
def test_no_health_service(world: World, request: pytest.FixtureRequest) -> None:
    """without its flag the health service is not there"""
    call = world.wire.channel.unary_unary("/grpc.health.v1.Health/Check")
    if request.config.getoption("--target", ""):
        try:
            call(b"", timeout=30)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                pytest.skip("the server has --enable_grpc_healthcheck_service")
        else:
            pytest.skip("the server has --enable_grpc_healthcheck_service")
    assert refusal(lambda: call(b"", timeout=30)).startswith("UNIMPLEMENTED")


STATUS: dict[str, tuple[Ask, str]] = {
    "a version never seen is NOT_FOUND": (
        lambda world: world.wire.status(spec(world.name("m"), 77)), "NOT_FOUND: Could not find version 77 of model $m",
    ),
    "a model never seen is NOT_FOUND": (
        lambda world: world.wire.status(spec("nope")), "NOT_FOUND: Could not find any versions of model nope",
    ),
    "a status request without a model spec is INVALID_ARGUMENT": (
        lambda world: world.wire.model.GetModelStatus(get_model_status_pb2.GetModelStatusRequest(), timeout=30),
        "INVALID_ARGUMENT: Missing ModelSpec",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("ask", "expected"), table("2.3", STATUS))
def test_status_is_refused(world: World, ask: Ask, expected: str) -> None:
    assert refusal(lambda: ask(world)) == world.fill(expected)


@row("2.3")
def test_newest_first(world: World) -> None:
    """status lists every version, newest number first"""
    assert list(world.wire.versions(world.name("m"))) == [2, 1]


@row("2.3")
def test_one_version(world: World) -> None:
    """status of a known version lists that version only, with error code 0 and no message"""
    found = world.wire.status(spec(world.name("m"), 1)).model_version_status
    assert [(one.version, one.state, one.status.error_code, one.status.error_message) for one in found] == [
        (1, 30, 0, "")
    ]


@pytest.mark.parametrize(
    "label",
    table("2.3", {"status ignores a label": "stable", "status ignores a label that does not exist": "nonsense"}),
)
def test_status_ignores_labels(world: World, label: str) -> None:
    found = world.wire.status(spec(world.name("m"), label=label)).model_version_status
    assert [one.version for one in found] == [2, 1]


@row("2.3")
def test_the_past_stays(world: World) -> None:
    """status keeps END versions of the past; a removed model is still answered, with its versions at END"""
    name = world.fresh("past")
    saved_models.add_model(world.base(name), 1)
    world.load(name)
    saved_models.add_model(world.base(name), 5)
    world.wait_states(name, "5 AVAILABLE, 1 END")
    world.apply()
    world.wait_states(name, "5 END, 1 END")
    assert world.wire.end_of(name, 5) == (0, "")
    assert world.wire.end_of(name, 1) == (0, "")


@row("2.3")
def test_who_serves_by_default(world: World) -> None:
    """GetModelMetadata and Predict say in model_spec.version which version answered"""
    assert world.wire.serving(world.name("m")) == 2
    answer = world.wire.predict(world.name("m"))
    assert (answer.model_spec.name, answer.model_spec.version.value) == (world.name("m"), 2)
    assert list(answer.outputs["y"].float_val) == [4.0]


@row("2.3")
def test_who_serves_a_label(world: World) -> None:
    """GetModelMetadata and Predict resolve labels"""
    assert world.wire.serving(world.name("m"), label="stable") == 1
    answer = world.wire.predict(world.name("m"), label="stable")
    assert answer.model_spec.version.value == 1
    assert list(answer.outputs["y"].float_val) == [2.0]


@row("2.3")
def test_metadata_holds_the_signatures(world: World) -> None:
    """GetModelMetadata answers the signatures under signature_def"""
    answer = world.wire.metadata(spec(world.name("pair")))
    found = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(found)
    assert sorted(found.signature_def["serving_default"].inputs) == ["a", "b"]


@row("2.3")
def test_a_version_by_number(world: World) -> None:
    """a request that names a version is answered by it, with the version in model_spec"""
    answer = world.wire.predict(world.name("m"), version=1)
    assert answer.model_spec.version.value == 1
    assert list(answer.outputs["y"].float_val) == [2.0]


PREDICT: dict[str, tuple[dict[str, Any], str]] = {
    "unknown model": ({"name": "nope"}, "NOT_FOUND: Servable not found for request: Latest(nope)"),
    "unknown version": (
        {"name": "$m", "version": 77}, "NOT_FOUND: Servable not found for request: Specific($m, 77)",
    ),
    "unknown label": (
        {"name": "$m", "label": "L"}, "INVALID_ARGUMENT: Unrecognized servable version label: L",
    ),
    "unknown signature": (
        {"name": "$m", "signature": "S"}, 'FAILED_PRECONDITION: Serving signature key "S" not found.',
    ),
    "missing input": (
        {"name": "$pair", "inputs": {"a": 1.0}},
        "INVALID_ARGUMENT: input size does not match signature: 1!=2 len({a}) != len({a,b}). Sent extra: {}. "
        "Missing but required: {b}.",
    ),
    "extra input": (
        {"name": "$m", "inputs": {"x": 1.0, "z": 1.0}},
        "INVALID_ARGUMENT: input size does not match signature: 2!=1 len({x,z}) != len({x}). Sent extra: {z}. "
        "Missing but required: {}.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "expected"), table("3", {f"gRPC Predict, {name}": case for name, case in PREDICT.items()})
)
def test_predict_is_refused(world: World, request_: dict[str, Any], expected: str) -> None:
    name = world.fill(request_["name"])
    more = {key: value for key, value in request_.items() if key != "name"}
    assert refusal(lambda: world.wire.predict(name, **more)) == world.fill(expected)


@row("3")
def test_wrong_dtype(world: World) -> None:
    """gRPC Predict, wrong dtype: INVALID_ARGUMENT Expects arg[0] to be float but int64 is provided"""
    said = refusal(lambda: world.wire.predict(world.name("m"), inputs={"x": [1]}, dtype=tf.int64))
    assert said.startswith("INVALID_ARGUMENT: ")
    assert "Expects arg[0] to be float but int64 is provided" in said


@pytest.mark.parametrize(
    "code",
    table("3", {f"gRPC Predict, the graph fails with {code}": code for code in saved_models.CODES}, evidence="T"),
)
def test_codes_of_the_graph(world: World, code: str) -> None:
    said = refusal(lambda: world.wire.predict(world.name("erring"), signature=code))
    assert said.startswith(f"{code}: ")


@row("3")
def test_a_deadline(world: World) -> None:
    """the client's remaining deadline becomes the session's timeout: a hanging request ends with DEADLINE_EXCEEDED"""
    assert refusal(lambda: world.wire.predict(world.name("hang"), timeout=0.5)).startswith("DEADLINE_EXCEEDED")
    world.wire.predict(world.name("m"))


@row("3", needs=("page",))
def test_no_deadline(world: World) -> None:
    """no client deadline means no timeout"""
    call = Call(lambda: world.wire.predict(world.name("slow"), timeout=None))
    assert call.result(world.patience).model_spec.version.value == 1


@row("3")
def test_classify(world: World) -> None:
    """gRPC Classify answers classes and scores, and the version in model_spec"""
    answer = world.wire.classify(spec(world.name("examples"), signature="classify"), examples(1.0, 3.0))
    found = [[(one.label, one.score) for one in each.classes] for each in answer.result.classifications]
    assert found == [[("up", 2.0), ("down", -2.0)], [("up", 6.0), ("down", -6.0)]]
    assert answer.model_spec.version.value == 1


@row("3")
def test_regress(world: World) -> None:
    """gRPC Regress answers values, and the version in model_spec"""
    answer = world.wire.regress(spec(world.name("examples"), signature="regress"), examples(1.0, 3.0))
    assert [one.value for one in answer.result.regressions] == [2.0, 6.0]
    assert answer.model_spec.version.value == 1


@row("3")
def test_multi_inference(world: World) -> None:
    """gRPC MultiInference answers every task on the same examples"""
    tasks = [(spec(world.name("examples"), signature=method), method) for method in ("classify", "regress")]
    answer = world.wire.multi_inference(tasks, examples(1.0))
    assert [one.WhichOneof("result") for one in answer.results] == ["classification_result", "regression_result"]
    assert answer.results[1].regression_result.regressions[0].value == 2.0


@row("2.4")
def test_long_messages(world: World) -> None:
    """a message over 1024 characters is cut and ends in ...TRUNCATED"""
    said = refusal(lambda: world.wire.prediction.Predict(predict_request("x" * 2000), timeout=30))
    assert said.startswith("NOT_FOUND: Servable not found for request: Latest(xxx")
    assert said.endswith("x...TRUNCATED")
    assert len(said) == len("NOT_FOUND: ") + 1024 + len("...TRUNCATED")


@row("5.4")
def test_pinned_to_an_unloaded_version(world: World) -> None:
    """a client pinned to an unloaded version gets NOT_FOUND Specific(NAME, N), over REST 404"""
    name = world.fresh("pinned")
    for version in (1, 2):
        saved_models.add_model(world.base(name), version)
    world.load(name, specific(1, 2), "2 AVAILABLE, 1 AVAILABLE")
    world.apply({name: specific(1)})
    world.wait_states(name, "2 END, 1 AVAILABLE")
    text = f"Servable not found for request: Specific({name}, 2)"
    assert refusal(lambda: world.wire.predict(name, version=2)) == f"NOT_FOUND: {text}"
    reply = world.wire.http("POST", f"/v1/models/{name}/versions/2:predict", '{"instances": [1]}')
    assert (reply.status, reply.error) == (404, text)
