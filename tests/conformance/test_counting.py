"""§1.4: which calls are counted, and as what."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.kit.rows import row, table
from tests.conformance.kit.wire import examples, predict_request, refusal, spec
from tests.conformance.kit.world import World

Act = Callable[[World], object]


def _predict(world: World) -> object:
    return world.wire.predict(world.name("m"))


def _post(name: str, verb: str, body: str) -> Act:
    def act(world: World) -> object:
        return world.wire.http("POST", f"/v1/models/{world.name(name) if name != 'nope' else 'nope'}:{verb}", body)

    return act


def _get(path: str) -> Act:
    return lambda world: world.wire.http("GET", path.replace("M", world.name("m")))


def _options(origin: str) -> Act:
    headers = {"Origin": origin} if origin else {}
    return lambda world: world.wire.http("OPTIONS", f"/v1/models/{world.name('m')}", headers=headers)


def _examples(world: World) -> str:
    return world.name("examples")


def _multi(world: World) -> object:
    tasks = [(spec(_examples(world), signature="regress"), "regress")]
    return world.wire.multi_inference(tasks, examples(1.0, 2.0))


REGRESS = '{"signature_name": "regress", "examples": [{"x": 1.0}]}'
CLASSIFY = '{"signature_name": "classify", "examples": [{"x": 1.0}]}'
ONE = '{"instances": [1]}'

COUNTED: dict[str, tuple[Act, dict[str, int]]] = {
    "gRPC Predict that succeeds: request, latency, run": (
        _predict,
        {"request_count m OK": 1, "request_latency_count m Predict GRPC": 1, "runtime_latency_count m Predict TF1": 1},
    ),
    "gRPC Predict that fails in the graph: the request only": (
        lambda world: refusal(lambda: world.wire.predict(world.name("failing"))),
        {"request_count failing INVALID_ARGUMENT": 1},
    ),
    "gRPC Predict of an unknown model: NOT_FOUND under the name that was sent": (
        lambda world: refusal(lambda: world.wire.predict("nope")),
        {"request_count nope NOT_FOUND": 1},
    ),
    "gRPC Predict of an unknown version: NOT_FOUND": (
        lambda world: refusal(lambda: world.wire.predict(world.name("m"), version=77)),
        {"request_count m NOT_FOUND": 1},
    ),
    "gRPC Predict without a model spec: an empty name": (
        lambda world: refusal(lambda: world.wire.prediction.Predict(type(predict_request(""))(), timeout=30)),
        {'request_count "" INVALID_ARGUMENT': 1},
    ),
    "gRPC Classify that succeeds: request, latency, run": (
        lambda world: world.wire.classify(spec(_examples(world), signature="classify"), examples(1.0)),
        {"request_count examples OK": 1, "request_latency_count examples Classify GRPC": 1,
         "runtime_latency_count examples Classify TF1": 1},
    ),
    "gRPC Regress that succeeds: request, latency, run": (
        lambda world: world.wire.regress(spec(_examples(world), signature="regress"), examples(1.0)),
        {"request_count examples OK": 1, "request_latency_count examples Regress GRPC": 1,
         "runtime_latency_count examples Regress TF1": 1},
    ),
    "gRPC Classify of an unknown model: NOT_FOUND": (
        lambda world: refusal(lambda: world.wire.classify(spec("nope"), examples(1.0))),
        {"request_count nope NOT_FOUND": 1},
    ),
    "gRPC Regress of an unknown model: NOT_FOUND": (
        lambda world: refusal(lambda: world.wire.regress(spec("nope"), examples(1.0))),
        {"request_count nope NOT_FOUND": 1},
    ),
    "gRPC GetModelMetadata is not counted": (lambda world: world.wire.metadata(spec(world.name("m"))), {}),
    "gRPC GetModelMetadata of an unknown model is not counted": (
        lambda world: refusal(lambda: world.wire.metadata(spec("nope"))), {},
    ),
    "gRPC GetModelStatus is not counted": (lambda world: world.wire.states(world.name("m")), {}),
    "gRPC GetModelStatus of an unknown model is not counted": (
        lambda world: refusal(lambda: world.wire.states("nope")), {},
    ),
    "gRPC HandleReloadConfigRequest is not counted": (lambda world: world.apply(), {}),
    "gRPC HandleReloadConfigRequest that is refused is not counted": (
        lambda world: refusal(lambda: world.wire.reload(None)), {},
    ),
    "REST :predict that succeeds: request, latency, run": (
        _post("m", "predict", ONE),
        {"request_count m OK": 1, "request_latency_count m predict REST": 1, "runtime_latency_count m Predict TF1": 1},
    ),
    "REST :predict that fails in the graph: the request only": (
        _post("failing", "predict", ONE), {"request_count failing INVALID_ARGUMENT": 1},
    ),
    "REST :predict with bad JSON: the request only": (
        _post("m", "predict", "{"), {"request_count m INVALID_ARGUMENT": 1},
    ),
    "REST :predict of an unknown model: NOT_FOUND": (
        _post("nope", "predict", ONE), {"request_count nope NOT_FOUND": 1},
    ),
    "REST :predict without variables: FAILED_PRECONDITION": (
        _post("hollow", "predict", ONE), {"request_count hollow FAILED_PRECONDITION": 1},
    ),
    "REST :classify that succeeds: request, latency, run": (
        _post("examples", "classify", CLASSIFY),
        {"request_count examples OK": 1, "request_latency_count examples classify REST": 1,
         "runtime_latency_count examples Classify TF1": 1},
    ),
    "REST :regress that succeeds: request, latency, run": (
        _post("examples", "regress", REGRESS),
        {"request_count examples OK": 1, "request_latency_count examples regress REST": 1,
         "runtime_latency_count examples Regress TF1": 1},
    ),
    "REST GET of the status: request and latency with an empty API": (
        _get("/v1/models/M"), {"request_count m OK": 1, 'request_latency_count m "" REST': 1},
    ),
    "REST GET of an unknown model's status: NOT_FOUND": (
        _get("/v1/models/nope"), {"request_count nope NOT_FOUND": 1},
    ),
    "REST GET of the metadata: request and latency with an empty API": (
        _get("/v1/models/M/metadata"), {"request_count m OK": 1, 'request_latency_count m "" REST': 1},
    ),
    "REST GET of an unknown model's metadata: NOT_FOUND": (
        _get("/v1/models/nope/metadata"), {"request_count nope NOT_FOUND": 1},
    ),
    "REST malformed URL under /v1/: INVALID_ARGUMENT without a name": (
        _get("/v1/nonsense"), {'request_count "" INVALID_ARGUMENT': 1},
    ),
    "REST wrong method: INVALID_ARGUMENT without a name": (
        lambda world: world.wire.http("PUT", f"/v1/models/{world.name('m')}"),
        {'request_count "" INVALID_ARGUMENT': 1},
    ),
    "REST OPTIONS with an origin: OK without a name, and a latency": (
        _options("http://example.org"), {'request_count "" OK': 1, 'request_latency_count "" "" REST': 1},
    ),
    "REST OPTIONS without an origin: FAILED_PRECONDITION without a name": (
        _options(""), {'request_count "" FAILED_PRECONDITION': 1},
    ),
    "REST outside /v1/ is not counted": (_get("/healthz"), {}),
    "the metrics page is not counted": (_get("/monitoring/prometheus/metrics"), {}),
}  # fmt: skip


@pytest.mark.parametrize(("act", "expected"), table("1.4", COUNTED, needs=("page",)))
def test_a_call_is_counted(world: World, act: Act, expected: dict[str, int]) -> None:
    """Names of shared models stand for their full names."""
    full = {" ".join(world.shared.get(word, word) for word in key.split(" ")): by for key, by in expected.items()}
    world.counts(lambda: act(world), full)


@row("1.4", needs=("page",))
def test_multi_inference_is_not_counted_as_a_request(world: World) -> None:
    """gRPC MultiInference: no request and no latency, only its examples and runs"""
    before = world.counters()
    _multi(world)
    after = world.counters()
    grown = {key: value - before.get(key, 0) for key, value in after.items() if value != before.get(key)}
    assert grown.pop(f"request_example_count_total {world.name('examples')}") == 2
    assert [key for key in grown if not key.startswith("runtime_latency_count")] == []


@row("1.4", needs=("page",))
def test_a_deadline_is_counted(world: World) -> None:
    """a request that outlives its client's deadline is counted as DEADLINE_EXCEEDED"""
    key = f"request_count {world.name('hang')} DEADLINE_EXCEEDED"
    before = world.counters().get(key, 0)
    assert refusal(lambda: world.wire.predict(world.name("hang"), timeout=0.3)).startswith("DEADLINE_EXCEEDED")
    world.wait(lambda: world.counters().get(key, 0) == before + 1, "the counted deadline")
