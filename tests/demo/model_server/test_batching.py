"""Requests share batches: which, when, how they are cut apart again, and who is refused."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airbag_demo.model_server.batch_scheduler import BatchScheduler
from airbag_demo.model_server.batching import Batcher, Batching
from airbag_demo.model_server.batching_parameters import BatchingParameters, parse
from airbag_demo.model_server.metrics import ServerMetrics
from airbag_demo.model_server.status import Code, StatusError
from tests.demo.model_server.client import Client, models_config, predict_request, refusal
from tests.fakes import model_server, saved_models
from tests.fakes.wait import until

FULL = (
    "UNAVAILABLE: The batch scheduling queue to which this task was submitted is full; "
    "currently {0} batches enqueued and max_enqueued_batches is {0}"
)


class Graph:
    """Doubles `x`. Remembers the batches it was given; `gate` holds it back, `fault` fails it."""

    def __init__(self) -> None:
        self.runs: list[list[Any]] = []
        self.timeouts: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.fault: StatusError | Exception | None = None
        self.answer: Callable[[Any], Any] = lambda array: array * 2

    def run(self, feeds: Mapping[str, Any], fetches: Sequence[str], timeout_ms: int) -> list[Any]:
        self.runs.append(feeds["x"].tolist())
        self.timeouts.append(timeout_ms)
        assert self.gate.wait(20)
        if self.fault is not None:
            raise self.fault
        return [self.answer(feeds["x"]) for _ in fetches]


class Clients:
    """A batcher of one thread over a graph, and requests to it that run side by side."""

    def __init__(self, **parameters: Any) -> None:
        self.graph = Graph()
        self.metrics = ServerMetrics()
        self._batcher = Batcher(self.graph.run, BatchingParameters(**parameters), BatchScheduler(1), self.metrics)
        self._pool = ThreadPoolExecutor(16)

    def close(self) -> None:
        self.graph.gate.set()
        self._pool.shutdown()

    def ask(self, *rows: Any, timeout_ms: int = 0, fetches: Sequence[str] = ("y",), **more: Any) -> Future[Any]:
        """Send a request, and wait until it is in the queue or refused."""
        before = self.counted("input_batch_size_count{}")
        feeds = {"x": np.array(rows, dtype=more.pop("dtype", np.float32)), **more}
        future = self._pool.submit(self._batcher.run, feeds, fetches, timeout_ms)
        until(lambda: future.done() or self.counted("input_batch_size_count{}") > before, what="the request")
        time.sleep(0.02)  # counted a moment before it is in the queue
        return future

    def block(self) -> Future[Any]:
        """Keep the one thread busy with a batch of its own, so that what follows has to wait."""
        self.graph.gate.clear()
        future = self.ask(0)
        until(lambda: len(self.graph.runs) == 1, what="the first batch")
        return future

    def counted(self, sample: str) -> float:
        return counted(self.metrics, sample)


def counted(metrics: ServerMetrics, sample: str) -> float:
    line = f":tensorflow:serving:batching_session:{sample} "
    rows = metrics.page().decode().split("\n")
    return next((float(row.removeprefix(line)) for row in rows if row.startswith(line)), 0.0)


def rows(future: Future[Any]) -> list[Any]:
    (array,) = future.result(20)
    found: list[Any] = array.tolist()
    return found


def failure(future: Future[Any]) -> str:
    with pytest.raises(StatusError) as caught:
        future.result(20)
    return str(caught.value.status)


@pytest.fixture
def clients_of() -> Iterator[Callable[..., Clients]]:
    made: list[Clients] = []

    def make(**parameters: Any) -> Clients:
        made.append(Clients(**parameters))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_requests_that_wait_share_one_batch_and_each_gets_its_own_rows(clients_of: Callable[..., Clients]) -> None:
    clients = clients_of(max_batch_size=4)
    first = clients.block()
    waiting = [clients.ask(1, 2), clients.ask(3)]
    clients.graph.gate.set()
    assert [rows(first), *map(rows, waiting)] == [[0.0], [2.0, 4.0], [6.0]]
    assert clients.graph.runs == [[0.0], [1.0, 2.0, 3.0]]


def test_a_request_that_does_not_fit_opens_the_next_batch(clients_of: Callable[..., Clients]) -> None:
    clients = clients_of(max_batch_size=3)
    clients.block()
    waiting = [clients.ask(1, 2), clients.ask(3, 4), clients.ask(5)]
    clients.graph.gate.set()
    assert [rows(one) for one in waiting] == [[2.0, 4.0], [6.0, 8.0], [10.0]]
    assert clients.graph.runs == [[0.0], [1.0, 2.0], [3.0, 4.0, 5.0]]


def test_an_open_batch_waits_for_its_time_unless_it_is_full(clients_of: Callable[..., Clients]) -> None:
    clients = clients_of(max_batch_size=2, batch_timeout_micros=600_000)
    started = time.monotonic()
    early = clients.ask(1)
    assert rows(early) == [2.0]
    assert time.monotonic() - started >= 0.55
    started = time.monotonic()
    pair = [clients.ask(1), clients.ask(2)]
    assert [rows(one) for one in pair] == [[2.0], [4.0]]
    assert time.monotonic() - started < 0.5
    assert clients.graph.runs == [[1.0], [1.0, 2.0]]


def test_requests_of_another_kind_do_not_share_a_batch(clients_of: Callable[..., Clients]) -> None:
    clients = clients_of()
    clients.block()
    waiting = [clients.ask(1), clients.ask(2, fetches=("y", "z"))]
    clients.graph.gate.set()
    assert rows(waiting[0]) == [2.0]
    assert [array.tolist() for array in waiting[1].result(20)] == [[4.0], [4.0]]
    assert clients.graph.runs == [[0.0], [1.0], [2.0]]


@pytest.mark.parametrize("limit", [1, 2])
def test_a_full_queue_refuses_at_once_and_a_batch_at_work_is_not_in_the_queue(
    clients_of: Callable[..., Clients], limit: int
) -> None:
    clients = clients_of(max_batch_size=1, max_enqueued_batches=limit)
    clients.block()
    waiting = [clients.ask(number) for number in range(limit)]
    assert failure(clients.ask(9)) == FULL.format(limit)
    clients.graph.gate.set()
    assert [rows(one) for one in waiting] == [[number * 2.0] for number in range(limit)]


def test_a_request_larger_than_a_batch_is_refused(clients_of: Callable[..., Clients]) -> None:
    assert failure(clients_of(max_batch_size=4).ask(*range(9))) == (
        "INVALID_ARGUMENT: Task size 9 is larger than maximum input batch size 4"
    )


def test_with_splitting_a_large_request_fills_the_open_batch_and_then_others(
    clients_of: Callable[..., Clients],
) -> None:
    clients = clients_of(max_batch_size=8, max_execution_batch_size=2, max_enqueued_batches=4)
    clients.block()
    waiting = [clients.ask(1), clients.ask(2, 3, 4, 5)]
    assert failure(clients.ask(*range(6))) == (
        "UNAVAILABLE: The batch scheduling queue to which this task was submitted is full; task size is 6 but "
        "scheduling capacity is only 3 (num_enqueued_batches=3, max_enqueued_batches=4, open_batch_size=1, "
        "max_execution_batch_size=2)"
    )
    clients.graph.gate.set()
    assert [rows(one) for one in waiting] == [[2.0], [4.0, 6.0, 8.0, 10.0]]
    assert clients.graph.runs == [[0.0], [1.0, 2.0], [3.0, 4.0], [5.0]]


def test_a_batch_is_filled_up_to_the_next_allowed_size_with_its_last_requests_first_row(
    clients_of: Callable[..., Clients],
) -> None:
    clients = clients_of(max_batch_size=8, allowed_batch_sizes=(1, 5, 8))
    clients.block()
    waiting = [clients.ask(1), clients.ask(2, 3)]
    clients.graph.gate.set()
    assert [rows(one) for one in waiting] == [[2.0], [4.0, 6.0]]
    assert clients.graph.runs[1] == [1.0, 2.0, 3.0, 2.0, 2.0]
    assert clients.counted('padding_size_sum{execution_batch_size="5"}') == 2
    assert clients.counted('padding_size_count{execution_batch_size="1"}') == 1
    assert clients.counted("processed_batch_size_sum{}") == 6


def test_other_dimensions_must_agree_unless_they_are_padded(clients_of: Callable[..., Clients]) -> None:
    for pads in (False, True):
        clients = clients_of(pad_variable_length_inputs=pads)
        clients.block()
        waiting = [clients.ask([1, 2, 3]), clients.ask([7])]
        clients.graph.gate.set()
        if pads:
            assert [rows(one) for one in waiting] == [[[2.0, 4.0, 6.0]], [[14.0, 14.0, 14.0]]]
        else:
            assert {failure(one) for one in waiting} == {
                "FAILED_PRECONDITION: Tensors with name 'x' from different tasks have different shapes and padding is "
                "turned off. Set pad_variable_length_inputs to true, or ensure that all tensors with the same name "
                "have equal dimensions starting with the first dim."
            }


def test_an_empty_row_cannot_be_padded(clients_of: Callable[..., Clients]) -> None:
    clients = clients_of(pad_variable_length_inputs=True)
    clients.block()
    waiting = [clients.ask([1]), clients.ask([])]
    clients.graph.gate.set()
    said = {failure(one) for one in waiting}
    assert said == {"INVALID_ARGUMENT: Got empty tensor in batch of non-empty tensors."}


def test_one_request_of_another_type_fails_the_whole_batch(clients_of: Callable[..., Clients]) -> None:
    clients = clients_of()
    clients.block()
    waiting = [clients.ask(1), clients.ask(2, dtype=np.int64)]
    clients.graph.gate.set()
    assert {failure(one) for one in waiting} == {
        "INTERNAL: Tensor concat operation failed: INVALID_ARGUMENT: Cannot concatenate tensors that have different "
        "data types. Got float and int64."
    }


@pytest.mark.parametrize(
    ("feeds", "said"),
    [
        ({}, "Batching Run() must have at least one input tensor"),
        ({"x": np.float32(1)}, "Batching Run() input tensors must have at least one dimension"),
        ({"x": np.zeros(2), "z": np.zeros(3)}, "Batching Run() input tensors must have equal 0th-dimension size"),
    ],
)
def test_inputs_that_have_no_common_first_dimension_are_refused(feeds: Mapping[str, Any], said: str) -> None:
    batcher = Batcher(Graph().run, BatchingParameters(), BatchScheduler(1), ServerMetrics())
    with pytest.raises(StatusError) as caught:
        batcher.run(feeds, ["y"])
    assert caught.value.status.message == said


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda array: array[0], "Batched output tensor has 0 dimensions"),
        (lambda array: array[:0], "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension "
                                  "sizes of the input tensors"),
    ],
)  # fmt: skip
def test_outputs_that_cannot_be_cut_apart_are_refused(
    clients_of: Callable[..., Clients], answer: Callable[[Any], Any], said: str
) -> None:
    clients = clients_of()
    clients.graph.answer = answer
    assert failure(clients.ask(1)) == f"FAILED_PRECONDITION: {said}"


def test_a_failing_run_fails_every_request_of_its_batch_and_is_counted(clients_of: Callable[..., Clients]) -> None:
    clients = clients_of()
    clients.graph.fault = StatusError(Code.ABORTED, "no")
    assert failure(clients.ask(1)) == "ABORTED: no"
    assert clients.counted("wrapped_run_count{}") == 1
    clients.graph.fault = ZeroDivisionError("odd")
    assert failure(clients.ask(1)) == "INTERNAL: odd"
    clients.graph.fault = None
    assert rows(clients.ask(4)) == [8.0]


def test_the_most_patient_request_sets_the_time_limit_of_the_run(clients_of: Callable[..., Clients]) -> None:
    clients = clients_of(batch_timeout_micros=200_000, max_batch_size=2)
    pair = [clients.ask(1, timeout_ms=50), clients.ask(2, timeout_ms=9000)]
    assert [rows(one) for one in pair] == [[2.0], [4.0]]
    assert 8000 < clients.graph.timeouts[0] <= 9000
    rows(clients.ask(1))
    assert clients.graph.timeouts[1] > 2_000_000


def test_a_batch_whose_requests_all_ran_out_of_time_in_the_queue_is_not_run(clients_of: Callable[..., Clients]) -> None:
    clients = clients_of(batch_timeout_micros=200_000)
    assert failure(clients.ask(1, timeout_ms=10)) == (
        "RESOURCE_EXHAUSTED: Run() timeout exceeded while waiting in batching queue"
    )
    assert clients.graph.runs == []
    assert clients.counted("wrapped_run_count{}") == 0
    assert clients.counted('queuing_latency_count{thread_pool_name=""}') == 1


def test_three_of_the_metrics_are_announced_only_at_the_first_batch(clients_of: Callable[..., Clients]) -> None:
    clients = clients_of()
    names = [f"batching_session:{name} " for name in ("padding_size", "input_batch_size", "processed_batch_size")]
    before = clients.metrics.page().decode()
    assert not any(name in before for name in names)
    assert "# TYPE :tensorflow:serving:batching_session:queuing_latency histogram" in before
    rows(clients.ask(1, 2, 3))
    page = clients.metrics.page().decode()
    assert all(f"# TYPE :tensorflow:serving:{name}histogram\n" in page for name in names)
    assert clients.counted('input_batch_size_bucket{le="2"}') == 0
    assert clients.counted('input_batch_size_bucket{le="4"}') == 1
    kinds = [line.split()[2] for line in page.split("\n") if line.startswith("# TYPE :tensorflow:serving:batching_")]
    assert [kind.rpartition(":")[2] for kind in kinds] == [
        "input_batch_size", "padding_size", "processed_batch_size", "queuing_latency", "wrapped_run_count",
    ]  # fmt: skip


def test_parameters_are_read_with_their_defaults() -> None:
    text = "max_batch_size { value: 8 } allowed_batch_sizes: [2, 8] pad_variable_length_inputs: true"
    found = parse(text)
    assert (found.max_batch_size, found.allowed_batch_sizes, found.pad_variable_length_inputs) == (8, (2, 8), True)
    assert (found.batch_timeout_micros, found.max_enqueued_batches, found.max_execution_batch_size) == (0, 10, 0)
    assert parse("").max_batch_size == 1000
    split = parse("enable_large_batch_splitting { value: true } max_execution_batch_size { value: 4 }")
    assert (split.max_execution_batch_size, split.max_batch_size) == (4, 1000)
    assert parse("max_execution_batch_size { value: 4 }").max_execution_batch_size == 0
    assert parse("enable_large_batch_splitting { value: true }").max_execution_batch_size == 1000
    with pytest.raises(StatusError):
        parse("max_batch_size: 8")


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"max_batch_size": 8, "allowed_batch_sizes": (2, 4)},
         "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 8"),
        ({"max_batch_size": 0}, "input_batch_size_limit must be positive; was 0"),
        ({"batch_timeout_micros": -1}, "batch_timeout_micros must be non-negative; was -1"),
        ({"max_enqueued_batches": 0}, "max_enqueued_batches must be positive; was 0"),
        ({"max_batch_size": 2, "max_execution_batch_size": 3},
         "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal to "
         "max_execution_batch_size."),
    ],
)  # fmt: skip
def test_parameters_that_contradict_each_other_are_refused(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(StatusError) as caught:
        Batcher(Graph().run, BatchingParameters(**parameters), BatchScheduler(1), ServerMetrics())
    assert str(caught.value.status) == f"INVALID_ARGUMENT: {said}"


def test_a_model_may_bring_its_own_parameters_or_want_no_batching(tmp_path: Path) -> None:
    metrics = ServerMetrics()
    batching = Batching(BatchingParameters(num_batch_threads=1, max_batch_size=1), True, metrics)
    assert batching.batcher(Graph().run, str(tmp_path)) is None
    (tmp_path / "batching_params.pbtxt").write_text("max_batch_size { value: 3 }")
    batcher = batching.batcher(Graph().run, str(tmp_path))
    assert batcher is not None
    assert batcher.run({"x": np.ones(3)}, ["y"])[0].tolist() == [2.0, 2.0, 2.0]
    batcher.close()
    (tmp_path / "batching_params.pbtxt").write_text("max_batch_size { value: three }")
    with pytest.raises(StatusError, match="Invalid protobuf file"):
        batching.batcher(Graph().run, str(tmp_path))


def test_a_closed_batcher_leaves_no_queue_behind() -> None:
    scheduler, graph = BatchScheduler(1), Graph()
    batcher = Batcher(graph.run, BatchingParameters(), scheduler, ServerMetrics())
    batcher.run({"x": np.ones(1)}, ["y"])
    forgotten = weakref.ref(batcher)
    batcher.close()
    batcher = Batcher(graph.run, BatchingParameters(), scheduler, ServerMetrics())
    batcher.run({"x": np.ones(1)}, ["y"])  # the thread, too, has forgotten its last batch now
    gc.collect()
    assert forgotten() is None


def test_the_server_batches_over_both_entrances_and_refuses_what_is_too_large(tmp_path: Path) -> None:
    saved_models.add_model(tmp_path / "m", 1)
    parameters = tmp_path / "batching.config"
    parameters.write_text("max_batch_size { value: 4 } batch_timeout_micros { value: 500000 }")
    flags = ("--enable_batching", f"--batching_parameters_file={parameters}")
    with model_server.running(*flags, base_path=tmp_path / "m") as server, Client(server) as client:
        with ThreadPoolExecutor(2) as pool:
            half = pool.submit(client.predict, inputs={"x": [1.0, 2.0]})
            other = client.http("POST", "/v1/models/m:predict", '{"instances": [3.0, 4.0]}')
        assert list(half.result().outputs["y"].float_val) == [2.0, 4.0]
        assert other.json() == {"predictions": [6.0, 8.0]}
        assert client.sample("serving:batching_session:wrapped_run_count", "") == 1
        nine = predict_request("m", inputs={"x": [0.0] * 9})
        said = "Task size 9 is larger than maximum input batch size 4"
        assert refusal(lambda: client.prediction.Predict(nine, timeout=20)) == f"INVALID_ARGUMENT: {said}"
        response = client.http("POST", "/v1/models/m:predict", '{"instances": [0, 0, 0, 0, 0, 0, 0, 0, 0]}')
        assert (response.status_code, response.json()) == (400, {"error": said})
        saved_models.add_model(tmp_path / "m", 2, scale=5.0)
        client.wait_states("m", "2 AVAILABLE, 1 END")
        assert client.predict().outputs["y"].float_val[0] == 5.0


def test_a_model_whose_parameters_are_wrong_fails_to_load(tmp_path: Path) -> None:
    saved_models.add_model(tmp_path / "m", 1)
    config = tmp_path / "models.config"
    config.write_text(models_config(tmp_path, {"m": ""}))
    flags = ("--enable_batching", "--enable_per_model_batching_parameters", "--max_num_load_retries=0")
    with model_server.running(*flags, config_file=config) as server, Client(server) as client:
        client.predict()
        assert client.sample("serving:batching_session:wrapped_run_count", "") == 0
        wrong = saved_models.add_model(tmp_path / "n", 1) / "batching_params.pbtxt"
        wrong.write_text("max_batch_size { value: 8 } allowed_batch_sizes: 4")
        assert refusal(lambda: client.reload(models_config(tmp_path, {"m": "", "n": ""}))) == (
            "UNKNOWN: 1 model(s) did not become available: {{{name: n version: 1} due to error: INVALID_ARGUMENT: "
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 8}, }"
        )
        labels = f'model_path="{tmp_path}/n/1",status="success"'
        assert client.sample("cc:saved_model:load_attempt_count", labels) == 1
