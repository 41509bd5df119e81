"""§1.3: the metrics that the server itself has."""

from __future__ import annotations

import pytest

from tests.conformance.kit.rows import row, table
from tests.conformance.kit.rules import EDGES_A, edges
from tests.conformance.kit.wire import examples, spec
from tests.conformance.kit.world import World
from tests.fakes import saved_models

PAGE = ("page",)
KINDS = {
    "request_count": "counter",
    "request_latency": "histogram",
    "runtime_latency": "histogram",
    "request_example_counts": "histogram",
    "request_example_count_total": "counter",
    "model_warmup_latency": "histogram",
    "model_warmup_records_read": "counter",
    "batching_session:queuing_latency": "histogram",
    "batching_session:wrapped_run_count": "counter",
}


@pytest.mark.parametrize(
    ("name", "kind"),
    table("1.3", {f"{name} is a {kind}": (name, kind) for name, kind in KINDS.items()}, needs=PAGE),
)
def test_kinds(world: World, name: str, kind: str) -> None:
    assert world.wire.page().kind[f":tensorflow:serving:{name}"] == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    table(
        "1.3",
        {
            "request_log_count is a counter that nothing ever counts": ("request_log_count", "counter"),
            "mlmd_map is a gauge without samples in a stock setup": ("mlmd_map", "gauge"),
        },
        needs=PAGE,
        evidence="S",
    ),
)
def test_silent_ones(world: World, name: str, kind: str) -> None:
    page = world.wire.page()
    assert page.kind[f":tensorflow:serving:{name}"] == kind
    assert page.of(f"serving:{name}") == []


@pytest.fixture(scope="session")
def used() -> dict[int, str]:
    return {}


@pytest.fixture
def asked(world: World, used: dict[int, str]) -> str:
    """A model of tf.Examples that was asked everything once, over gRPC and REST; made once per server."""
    if id(world) in used:
        return used[id(world)]
    name = world.fresh("asked")
    saved_models.examples(world.base(name), 1)
    world.load(name)
    wire = world.wire
    wire.predict(name)
    wire.classify(spec(name, signature="classify"), examples(1.0))
    wire.regress(spec(name, signature="regress"), examples(1.0))
    body = '{"signature_name": "SIGNATURE", "examples": [{"x": 1.0}]}'
    assert wire.http("POST", f"/v1/models/{name}:predict", '{"instances": [1.0]}').status == 200
    for verb in ("classify", "regress"):
        assert wire.http("POST", f"/v1/models/{name}:{verb}", body.replace("SIGNATURE", verb)).status == 200
    assert wire.http("GET", f"/v1/models/{name}").status == 200
    tasks = [(spec(name, signature=method), method) for method in ("classify", "regress")]
    wire.multi_inference(tasks, examples(1.0, 2.0))
    used[id(world)] = name
    return name


@pytest.mark.parametrize(
    ("name", "keys"),
    table(
        "1.3",
        {
            "request_count has the labels model_name, status": ("request_count", ("model_name", "status")),
            "request_latency has the labels model_name, API, entrypoint":
                ("request_latency_count", ("model_name", "API", "entrypoint")),
            "runtime_latency has the labels model_name, API, runtime":
                ("runtime_latency_count", ("model_name", "API", "runtime")),
        },
        needs=PAGE,
    ),
)  # fmt: skip
def test_label_keys(world: World, asked: str, name: str, keys: tuple[str, ...]) -> None:
    found = world.wire.page().of(f"serving:{name}", model_name=asked)
    assert found
    assert {one.keys for one in found} == {keys}


@pytest.mark.parametrize(
    ("api", "entrypoint"),
    table(
        "1.3",
        {
            "gRPC Predict is timed as API=Predict, entrypoint=GRPC": ("Predict", "GRPC"),
            "gRPC Classify is timed as API=Classify, entrypoint=GRPC": ("Classify", "GRPC"),
            "gRPC Regress is timed as API=Regress, entrypoint=GRPC": ("Regress", "GRPC"),
            "REST :predict is timed as API=predict, entrypoint=REST": ("predict", "REST"),
            "REST :classify is timed as API=classify, entrypoint=REST": ("classify", "REST"),
            "REST :regress is timed as API=regress, entrypoint=REST": ("regress", "REST"),
            "REST GET of the status is timed with an empty API": ("", "REST"),
        },
        needs=PAGE,
    ),
)
def test_latency_labels(world: World, asked: str, api: str, entrypoint: str) -> None:
    page = world.wire.page()
    assert page.value("serving:request_latency_count", model_name=asked, API=api, entrypoint=entrypoint) == 1


@pytest.mark.parametrize(
    "api",
    table(
        "1.3",
        {f"runtime_latency counts REST and gRPC alike as API={api}, runtime=TF1": api
         for api in ("Predict", "Classify", "Regress")},
        needs=PAGE,
    ),
)  # fmt: skip
def test_runtime_labels(world: World, asked: str, api: str) -> None:
    found = world.wire.page().value("serving:runtime_latency_count", model_name=asked, API=api, runtime="TF1")
    assert found is not None
    assert found >= 2


@pytest.mark.parametrize(
    ("name", "expected"),
    table(
        "1.3",
        {
            "request_latency has the edges of set A": ("serving:request_latency", EDGES_A),
            "runtime_latency has the edges of set A": ("serving:runtime_latency", EDGES_A),
        },
        needs=PAGE,
    ),
)
def test_edges(world: World, asked: str, name: str, expected: list[str]) -> None:
    assert world.wire.page().edges(name, model_name=asked) == expected


@row("1.3", needs=PAGE)
def test_example_counts(world: World, asked: str) -> None:
    """request_example_counts{model} has the edges of set C, and MultiInference alone records it"""
    page = world.wire.page()
    assert page.edges("serving:request_example_counts", model=asked) == edges(1, 2, 15)
    assert page.value("serving:request_example_counts_count", model=asked) == 1
    assert page.value("serving:request_example_count_total", model=asked) == 2


@pytest.fixture
def warm(world: World, used: dict[int, str]) -> str:
    """The path of a version that was warmed up with three records; made once per server."""
    if -id(world) not in used:
        name = world.fresh("warm")
        path = saved_models.with_warmup(world.base(name), 1, model_name=name, records=3)
        world.load(name)
        used[-id(world)] = world.seen(path)
    return used[-id(world)]


@row("1.3", needs=PAGE)
def test_warm_up_records(world: World, warm: str) -> None:
    """model_warmup_records_read{model_path,status="OK"} counts the records that were replayed"""
    assert world.wire.page().value("serving:model_warmup_records_read", model_path=warm, status="OK") == 3


@row("1.3", needs=PAGE)
def test_warm_up_latency(world: World, warm: str) -> None:
    """model_warmup_latency{model_path,status="OK"} has the edges of set A and one sample per load"""
    page = world.wire.page()
    assert page.value("serving:model_warmup_latency_count", model_path=warm, status="OK") == 1
    assert page.edges("serving:model_warmup_latency", model_path=warm) == EDGES_A


@row("1.3", needs=PAGE)
def test_warm_up_runs(world: World, warm: str) -> None:
    """warm-up replays are counted in runtime_latency, under the record's model name, and nowhere else"""
    name = warm.split("/")[-2]
    page = world.wire.page()
    assert page.value("serving:runtime_latency_count", model_name=name, API="Predict", runtime="TF1") == 3
    assert page.of("serving:request_count", model_name=name) == []
    assert page.of("serving:request_latency_count", model_name=name) == []


@row("1.3", needs=(*PAGE, "quick failures"))
def test_a_failed_warm_up_leaves_no_sample(world: World) -> None:
    """a failing warm-up record leaves no warm-up sample"""
    name = world.fresh("cold")
    path = world.seen(saved_models.with_warmup(world.base(name), 1, good=False))
    with pytest.raises(Exception, match="did not become available"):
        world.apply({name: ""})
    page = world.wire.page()
    assert page.of("serving:model_warmup_latency_count", model_path=path) == []
    assert page.of("serving:model_warmup_records_read", model_path=path) == []


@row("1.3", needs=(*PAGE, "quick failures"))
def test_an_unreadable_warm_up_file(world: World) -> None:
    """an unreadable warm-up file is recorded with its status, DATA_LOSS: corrupted record ..."""
    name = world.fresh("corrupt")
    path = world.seen(saved_models.corrupt_warmup(world.base(name), 1))
    with pytest.raises(Exception, match="did not become available"):
        world.apply({name: ""})
    found = world.wire.page().of("serving:model_warmup_records_read", model_path=path)
    assert found
    assert all(one.label["status"].startswith("DATA_LOSS: corrupted record") for one in found)
