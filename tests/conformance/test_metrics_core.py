"""§1.5: the metrics of TensorFlow's core that are worth using."""

from __future__ import annotations

import pytest

from tests.conformance.kit.rows import row, table
from tests.conformance.kit.rules import edges
from tests.conformance.kit.wire import refusal
from tests.conformance.kit.world import World
from tests.fakes import saved_models

PAGE = ("page",)
KINDS = {
    "cc:saved_model:load_attempt_count": "counter",
    "cc:saved_model:load_latency": "counter",
    "cc:saved_model:load_latency_by_stage": "histogram",
    "core:direct_session_runs": "counter",
    "core:graph_runs": "counter",
    "core:graph_run_time_usecs": "counter",
    "core:graph_run_time_usecs_histogram": "histogram",
    "core:graph_run_input_tensor_bytes": "histogram",
    "core:graph_run_output_tensor_bytes": "histogram",
    "core:graph_pending_queue_length_histogram": "histogram",
    "core:graph_optimization_usecs": "counter",
    "core:graph_build_calls": "counter",
    "core:saved_model:read:count": "counter",
    "core:session_created": "gauge",
}


@pytest.mark.parametrize(
    ("name", "kind"),
    table("1.5", {f"{name} is a {kind}": (name, kind) for name, kind in KINDS.items()}, needs=PAGE, evidence="T"),
)
def test_kinds(world: World, name: str, kind: str) -> None:
    assert world.wire.page().kind[f":tensorflow:{name}"] == kind


@pytest.mark.parametrize(
    ("name", "expected"),
    table(
        "1.5",
        {
            "graph_run_time_usecs_histogram has 20 edges 1000 x 2^i":
                ("core:graph_run_time_usecs_histogram", edges(1000, 2, 20)),
            "graph_run_input_tensor_bytes has 14 edges 4^i": ("core:graph_run_input_tensor_bytes", edges(1, 4, 14)),
            "graph_run_output_tensor_bytes has 14 edges 4^i": ("core:graph_run_output_tensor_bytes", edges(1, 4, 14)),
            "graph_pending_queue_length_histogram has 30 edges 1.5^i":
                ("core:graph_pending_queue_length_histogram", edges(1, 1.5, 30)),
        },
        needs=PAGE,
        evidence="T",
    ),
)  # fmt: skip
def test_edges(world: World, name: str, expected: list[str]) -> None:
    for _ in range(10):
        world.wire.predict(world.name("m"))
    assert world.wire.page().edges(name) == expected


@pytest.mark.parametrize(
    "name",
    table(
        "1.5",
        {
            "direct_session_runs grows with every run, without labels": "core:direct_session_runs",
            "graph_runs grows with every run, without labels": "core:graph_runs",
        },
        needs=PAGE,
        evidence="T",
    ),
)
def test_runs_are_counted(world: World, name: str) -> None:
    world.wire.predict(world.name("m"))
    before = world.wire.page().value(name)
    assert before is not None
    world.wire.predict(world.name("m"))
    after = world.wire.page().value(name)
    assert after is not None
    assert after >= before + 1


@row("1.5", needs=PAGE)
def test_a_load_is_counted(world: World) -> None:
    """a load counts one attempt with status success, its path ends in the version number"""
    name = world.fresh("load")
    path = world.seen(saved_models.add_model(world.base(name), 12))
    world.load(name, states="12 AVAILABLE")
    page = world.wire.page()
    assert page.value("cc:saved_model:load_attempt_count", model_path=path, status="success") == 1
    assert page.of("cc:saved_model:load_attempt_count", model_path=path, status="fail") == []
    assert (page.value("cc:saved_model:load_latency", model_path=path) or 0) > 0


@row("1.5", needs=PAGE)
def test_the_stages_of_a_load(world: World) -> None:
    """load_latency_by_stage has the stages restore_graph and init_graph, with 37 edges 10 x 1.8^i"""
    path = world.seen(world.base(world.name("m")) / "1")
    for stage in ("restore_graph", "init_graph"):
        assert world.wire.page().edges("cc:saved_model:load_latency_by_stage", model_path=path, stage=stage) == edges(
            10, 1.8, 37
        )


BROKEN = {
    "a truncated version counts fail once per attempt, and latency": (saved_models.truncated, "fail"),
    "a version whose init fails counts fail once per attempt, and latency": (saved_models.failing_load, "fail"),
    "a version whose warm-up fails counts success on every attempt": (
        lambda base, version: saved_models.with_warmup(base, version, good=False), "success",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("broken", "status"), table("1.5", BROKEN, needs=(*PAGE, "quick failures")))
def test_failing_loads_are_counted(world: World, broken, status: str) -> None:  # type: ignore[no-untyped-def]
    name = world.fresh("broken")
    path = world.seen(broken(world.base(name), 1))
    refusal(lambda: world.apply({name: ""}))
    page = world.wire.page()
    found = page.of("cc:saved_model:load_attempt_count", model_path=path)
    assert [one.label["status"] for one in found] == [status]
    assert int(found[0].value) == world.attempts if world.attempts else int(found[0].value) >= 1
    assert page.of("cc:saved_model:load_latency", model_path=path)
    if status == "fail":
        assert page.of("cc:saved_model:load_latency_by_stage_count", model_path=path) == []


BLIND = {
    "no saved_model.pb: no load attempt is counted": saved_models.without_graph,
    "a plain file: no load attempt is counted": saved_models.stray_file,
}


@pytest.mark.parametrize("broken", table("1.5", BLIND, needs=(*PAGE, "quick failures")))
def test_blind_spots(world: World, broken) -> None:  # type: ignore[no-untyped-def]
    name = world.fresh("blind")
    path = world.seen(broken(world.base(name), 1))
    refusal(lambda: world.apply({name: ""}))
    world.wait_states(name, "1 END")
    assert world.wire.page().of("cc:saved_model:load_attempt_count", model_path=path) == []


@row("1.5", needs=PAGE, evidence="T")
def test_reads_are_counted(world: World) -> None:
    """saved_model:read:count{write_version} grows with every successful load"""
    before = world.wire.page().value("core:saved_model:read:count", write_version="2") or 0
    name = world.fresh("read")
    saved_models.add_model(world.base(name), 1)
    world.load(name)
    assert world.wire.page().value("core:saved_model:read:count", write_version="2") == before + 1


@row("1.5", needs=PAGE, evidence="T")
def test_optimization_labels(world: World) -> None:
    """graph_optimization_usecs has the labels kind, name"""
    assert {one.keys for one in world.wire.page().of("core:graph_optimization_usecs")} <= {("kind", "name")}
