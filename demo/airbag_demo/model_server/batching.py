"""Batching of graph runs: inputs of several requests are joined along dimension 0, and the outputs cut apart again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from airbag_demo.model_server import text_protos
from airbag_demo.model_server.batch_scheduler import Batch, BatchScheduler, Queue, Task
from airbag_demo.model_server.batching_parameters import PER_MODEL_FILE, BatchingParameters, check_model, parse
from airbag_demo.model_server.data_types import short_name_of
from airbag_demo.model_server.metrics import ServerMetrics
from airbag_demo.model_server.status import Code, StatusError, invalid

Run = Callable[[Mapping[str, Any], Sequence[str], int], list[Any]]
Kind = tuple[frozenset[str], frozenset[str]]

FOREVER_SECONDS = (2**31 - 1) / 1e6


class Batcher:
    """Runs a model's graph in batches. Requests that feed and fetch the same tensors may share one."""

    def __init__(
        self, run: Run, parameters: BatchingParameters, scheduler: BatchScheduler, metrics: ServerMetrics
    ) -> None:
        """StatusError INVALID_ARGUMENT if the parameters contradict each other."""
        check_model(parameters)
        self._run = run
        self._parameters = parameters
        self._scheduler = scheduler
        self._metrics = metrics
        self._opening = threading.Lock()
        self._queues: dict[Kind, Queue] = {}

    def run(self, feeds: Mapping[str, Any], fetches: Sequence[str], timeout_ms: int = 0) -> list[Any]:
        """Wait for the batch that takes these. StatusError, also for what another request of the batch did wrong."""
        whole = Task(feeds, _batch_size(feeds), timeout_ms, time.monotonic())
        for array in feeds.values():
            self._metrics.input_batch_size.observe(np.shape(array)[0])
        parts: list[Task] = []

        def split(room: int) -> list[Task]:
            parts.extend(_split(whole, room, self._parameters.max_execution_batch_size))
            return parts

        self._scheduler.schedule(self._queue(feeds, fetches), split)
        done = [part.done.result() for part in parts]
        return [np.concatenate([one[name] for one in done]) if done[1:] else done[0][name] for name in fetches]

    def close(self) -> None:
        """No request may run any more."""
        for queue in self._queues.values():
            self._scheduler.close(queue)

    def _queue(self, feeds: Mapping[str, Any], fetches: Sequence[str]) -> Queue:
        kind = (frozenset(feeds), frozenset(fetches))
        with self._opening:
            if kind not in self._queues:
                self._queues[kind] = Queue(self._parameters, lambda batch: self._process(kind, batch))
                self._scheduler.open(self._queues[kind])
            return self._queues[kind]

    def _process(self, kind: Kind, batch: Batch) -> None:
        try:
            outputs = self._outputs(sorted(kind[1]), batch)
        except StatusError as error:
            for task in batch:
                task.done.set_exception(error)
            return
        start = 0
        for task in batch:
            task.done.set_result({name: array[start : start + task.size] for name, array in outputs.items()})
            start += task.size

    def _outputs(self, fetches: Sequence[str], batch: Batch) -> Mapping[str, Any]:
        timeout_ms = self._timeout_ms(batch)
        size = sum(task.size for task in batch)
        padded = next((one for one in self._parameters.allowed_batch_sizes if one >= size), size)
        self._metrics.padding_size.observe(padded - size, str(padded))
        self._metrics.processed_batch_size.observe(padded)
        feeds = {name: self._joined(name, batch, padded - size) for name in batch[0].inputs}
        try:
            arrays = self._run(feeds, fetches, timeout_ms)
        finally:
            self._metrics.wrapped_runs.add()
        for array in arrays:
            _check_output(array, padded)
        return dict(zip(fetches, arrays, strict=True))

    def _timeout_ms(self, batch: Batch) -> int:
        """What is left for the most patient of the requests. StatusError RESOURCE_EXHAUSTED if all ran out of time."""
        now = time.monotonic()
        left = [(task.timeout_ms / 1e3 or FOREVER_SECONDS) - (now - task.enqueued) for task in batch]
        for task in batch:
            self._metrics.queuing_latency.observe(int((now - task.enqueued) * 1e6), "")
        if max(left) <= 0:
            raise StatusError(Code.RESOURCE_EXHAUSTED, "Run() timeout exceeded while waiting in batching queue")
        return int(max(left) * 1e3)

    def _joined(self, name: str, batch: Batch, padding: int) -> Any:
        arrays = [task.inputs[name] for task in batch]
        if self._parameters.pad_variable_length_inputs:
            arrays = _padded(arrays)
        elif len({array.shape[1:] for array in arrays}) > 1:
            raise StatusError(
                Code.FAILED_PRECONDITION,
                f"Tensors with name '{name}' from different tasks have different shapes and padding is turned off. "
                "Set pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal "
                "dimensions starting with the first dim.",
            )
        for array in arrays[1:]:
            if array.dtype != arrays[0].dtype:
                raise StatusError(
                    Code.INTERNAL,
                    "Tensor concat operation failed: INVALID_ARGUMENT: Cannot concatenate tensors that have different "
                    f"data types. Got {short_name_of(arrays[0])} and {short_name_of(array)}.",
                )
        return np.concatenate([*arrays, *[arrays[-1][:1]] * padding])


def _batch_size(feeds: Mapping[str, Any]) -> int:
    if not feeds:
        raise invalid("Batching Run() must have at least one input tensor")
    sizes = []
    for array in feeds.values():
        if not np.ndim(array):
            raise invalid("Batching Run() input tensors must have at least one dimension")
        sizes.append(np.shape(array)[0])
        if sizes[-1] != sizes[0]:
            raise invalid("Batching Run() input tensors must have equal 0th-dimension size")
    return int(sizes[0])


def _split(task: Task, room: int, limit: int) -> list[Task]:
    """The parts that fill the open batch and then batches of `limit` rows; the task itself if it needs no splitting."""
    if not limit or task.size <= room:
        return [task]
    parts, start = [], 0
    while start < task.size:
        size = min(room if not start and room else limit, task.size - start)
        rows = {name: array[start : start + size] for name, array in task.inputs.items()}
        parts.append(Task(rows, size, task.timeout_ms, task.enqueued))
        start += size
    return parts


def _padded(arrays: Sequence[Any]) -> list[Any]:
    """The arrays with every dimension but the first as long as the longest; each is filled up with its first value."""
    shape = [max(sizes) for sizes in zip(*(array.shape[1:] for array in arrays), strict=True)]
    padded = []
    for array in arrays:
        missing = [(0, 0), *((0, wanted - had) for wanted, had in zip(shape, array.shape[1:], strict=True))]
        if not array.size and any(count for _, count in missing):
            raise invalid("Got empty tensor in batch of non-empty tensors.")
        padded.append(np.pad(array, missing, constant_values=array.flat[0]) if array.size else array)
    return padded


def _check_output(array: Any, rows: int) -> None:
    if not np.ndim(array):
        raise StatusError(Code.FAILED_PRECONDITION, "Batched output tensor has 0 dimensions")
    if np.shape(array)[0] != rows:
        raise StatusError(
            Code.FAILED_PRECONDITION,
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input "
            "tensors",
        )


class Batching:
    """Makes the batchers of all models. With `is_per_model` a model says itself, in its own file, whether and how."""

    def __init__(self, parameters: BatchingParameters, is_per_model: bool, metrics: ServerMetrics) -> None:
        self._parameters = parameters
        self._is_per_model = is_per_model
        self._metrics = metrics
        self._scheduler = BatchScheduler(parameters.num_batch_threads)

    def batcher(self, run: Run, path: str) -> Batcher | None:
        """The batcher of the model version at `path`; None if it wants none. StatusError if its file is wrong."""
        parameters = self._parameters
        if self._is_per_model:
            file = Path(path, PER_MODEL_FILE)
            if not file.exists():
                return None
            parameters = text_protos.read(str(file), parse)
        return Batcher(run, parameters, self._scheduler, self._metrics)
