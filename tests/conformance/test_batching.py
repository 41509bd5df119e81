"""§3 and §1.3, with batching: what is refused, and its metrics."""

from __future__ import annotations

import re

import pytest

from tests.conformance.kit.rows import row, table
from tests.conformance.kit.rules import edges
from tests.conformance.kit.watch import Call
from tests.conformance.kit.wire import refusal
from tests.conformance.kit.world import World

BATCHING = {"group": "batching", "needs": ("batching",)}
FULL = (
    r"The batch scheduling queue to which this task was submitted is full; currently [0-9]+ batches enqueued and "
    r"max_enqueued_batches is [0-9]+"
)


@pytest.mark.parametrize(
    ("name", "expected"),
    table(
        "1.3",
        {
            "queuing_latency has the edges of set B": ("queuing_latency", edges(100, 1.2, 52)),
            "padding_size is registered at the first batch, with set D": ("padding_size", edges(1, 2, 14)),
            "input_batch_size is registered at the first batch, with set D": ("input_batch_size", edges(1, 2, 14)),
            "processed_batch_size is registered at the first batch, with set D":
                ("processed_batch_size", edges(1, 2, 14)),
        },
        **BATCHING,
    ),
)  # fmt: skip
def test_edges(world: World, name: str, expected: list[str]) -> None:
    world.wire.predict(world.name("m"), inputs={"x": [1.0, 2.0]})
    page = world.wire.page()
    assert page.kind[f":tensorflow:serving:batching_session:{name}"] == "histogram"
    assert page.edges(f"serving:batching_session:{name}") == expected


@pytest.mark.parametrize(
    ("name", "keys"),
    table(
        "1.3",
        {
            "queuing_latency has the label thread_pool_name": ("queuing_latency_count", ("thread_pool_name",)),
            "padding_size has the label execution_batch_size": ("padding_size_count", ("execution_batch_size",)),
            "input_batch_size has no labels": ("input_batch_size_count", ()),
            "processed_batch_size has no labels": ("processed_batch_size_count", ()),
            "wrapped_run_count has no labels": ("wrapped_run_count", ()),
        },
        **BATCHING,
    ),
)
def test_labels(world: World, name: str, keys: tuple[str, ...]) -> None:
    world.wire.predict(world.name("m"))
    found = world.wire.page().of(f"serving:batching_session:{name}")
    assert {one.keys for one in found} == {keys}
    assert {one.label.get("thread_pool_name", "") for one in found} == {""}


@row("1.3", **BATCHING)
def test_runs(world: World) -> None:
    """wrapped_run_count counts executed batches"""
    world.wire.predict(world.name("m"))
    before = world.wire.page().value("serving:batching_session:wrapped_run_count") or 0
    world.wire.predict(world.name("m"))
    assert world.wire.page().value("serving:batching_session:wrapped_run_count") == before + 1


@row("3", **BATCHING)
def test_too_large(world: World) -> None:
    """a request larger than the batch limit is 400 Task size 9 is larger than maximum input batch size 4"""
    path = f"/v1/models/{world.name('m')}:predict"
    reply = world.wire.http("POST", path, '{"instances": [1, 2, 3, 4, 5, 6, 7, 8, 9]}')
    if reply.status == 200:
        pytest.skip("needs max_batch_size { value: 4 } in the batching file")
    assert reply.status == 400
    assert re.fullmatch(r"Task size 9 is larger than maximum input batch size [0-9]+", reply.error)


@pytest.mark.parametrize(
    "rest", table("3", {"a full queue is 503": True, "a full queue is UNAVAILABLE over gRPC": False}, **BATCHING)
)
def test_a_full_queue(world: World, rest: bool) -> None:
    """Slow requests fill the threads and the queue; then one more is refused at once."""
    name = world.name("slow")
    calls = [Call(lambda: refuse_or_answer(world, name)) for _ in range(40)]
    said = []
    if rest:
        while not said and not all(call.is_over for call in calls):
            reply = world.wire.http("POST", f"/v1/models/{name}:predict", '{"instances": [1, 1, 1, 1]}')
            said = [reply.error] if reply.status == 503 else []
    answers = [call.result(4 * world.patience) for call in calls]
    if not rest:
        said = [one.removeprefix("UNAVAILABLE: ") for one in answers if one.startswith("UNAVAILABLE: ")]
    if not said:
        pytest.skip("needs max_enqueued_batches { value: 1 } and num_batch_threads { value: 1 } in the batching file")
    assert all(re.fullmatch(FULL, one) for one in said)


def refuse_or_answer(world: World, name: str) -> str:
    try:
        return refusal(lambda: world.wire.predict(name, inputs={"x": [1.0, 1.0, 1.0, 1.0]}))
    except AssertionError:
        return ""
