"""Forms batches out of tasks: one queue for each kind of request, one pool of threads for all queues."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from airbag_demo.model_server.batching_parameters import BatchingParameters
from airbag_demo.model_server.status import Code, StatusError, invalid

log = logging.getLogger("airbag.model_server")


@dataclass(eq=False)
class Task:
    """A request, or a part of one: its inputs by tensor name, `size` rows each. `done` gets its outputs by name."""

    inputs: Mapping[str, Any]
    size: int
    timeout_ms: int
    enqueued: float
    done: Future[Mapping[str, Any]] = field(default_factory=Future)


Batch = list[Task]
Process = Callable[[Batch], None]


class Queue:
    """Batches that wait, the last of them open. Only its scheduler calls it, under the scheduler's lock."""

    def __init__(self, parameters: BatchingParameters, process: Process) -> None:
        self.process = process
        self._limits = parameters
        self._size_limit = parameters.max_execution_batch_size or parameters.max_batch_size
        self._batches: deque[Batch] = deque([[]])
        self._opened = 0.0

    def add(self, tasks: list[Task], now: float) -> None:
        """Put in the parts of one request. StatusError if it is too large, or the queue is full."""
        self._check(sum(task.size for task in tasks))
        for task in tasks:
            if _rows(self._batches[-1]) + task.size > self._size_limit:
                self._batches.append([])
            if not self._batches[-1]:
                self._opened = now
            self._batches[-1].append(task)

    def room(self) -> int:
        """The rows that still go into the open batch."""
        return self._size_limit - _rows(self._batches[-1])

    def due(self) -> float | None:
        """When a batch can be taken; None while there is none."""
        if len(self._batches) > 1:
            return 0.0
        if not self._batches[0]:
            return None
        if _rows(self._batches[0]) >= self._size_limit:
            return 0.0
        return self._opened + self._limits.batch_timeout_micros / 1e6

    def take(self) -> Batch:
        if len(self._batches) == 1:
            self._batches.append([])
        return self._batches.popleft()

    def _check(self, size: int) -> None:
        limits = self._limits
        if size > limits.max_batch_size:
            raise invalid(f"Task size {size} is larger than maximum input batch size {limits.max_batch_size}")
        waiting, opened = len(self._batches), _rows(self._batches[-1])
        if limits.max_execution_batch_size:
            capacity = (limits.max_enqueued_batches - waiting) * self._size_limit + self.room()
            if size > capacity:
                raise _full(
                    f"task size is {size} but scheduling capacity is only {capacity} "
                    f"(num_enqueued_batches={waiting}, max_enqueued_batches={limits.max_enqueued_batches}, "
                    f"open_batch_size={opened}, max_execution_batch_size={self._size_limit})"
                )
        elif opened + size > limits.max_batch_size and waiting >= limits.max_enqueued_batches:
            raise _full(
                f"currently {waiting} batches enqueued and max_enqueued_batches is {limits.max_enqueued_batches}"
            )


class BatchScheduler:
    """The threads. Each takes the batch that was due first, of whatever queue, and processes it."""

    def __init__(self, threads: int) -> None:
        self._changed = threading.Condition()
        self._queues: list[Queue] = []
        for number in range(threads):
            threading.Thread(target=self._run, name=f"batch-{number}", daemon=True).start()

    def open(self, queue: Queue) -> None:
        with self._changed:
            self._queues.append(queue)

    def close(self, queue: Queue) -> None:
        """Forget a queue that nothing waits in."""
        with self._changed:
            self._queues.remove(queue)

    def schedule(self, queue: Queue, split: Callable[[int], list[Task]]) -> None:
        """Put the tasks in that `split` makes of a request, given the room in the open batch. StatusError."""
        with self._changed:
            queue.add(split(queue.room()), time.monotonic())
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            queue, batch = self._next()
            try:
                queue.process(batch)
            except Exception as error:
                log.exception("a batch failed")
                for task in batch:
                    if not task.done.done():
                        task.done.set_exception(StatusError(Code.INTERNAL, str(error)))

    def _next(self) -> tuple[Queue, Batch]:
        with self._changed:
            while True:
                due = [(when, number) for number, one in enumerate(self._queues) if (when := one.due()) is not None]
                when, number = min(due, default=(None, 0))
                if when is None:
                    self._changed.wait()
                elif (pause := when - time.monotonic()) > 0:
                    self._changed.wait(pause)
                else:
                    return self._queues[number], self._queues[number].take()


def _rows(batch: Batch) -> int:
    return sum(task.size for task in batch)


def _full(why: str) -> StatusError:
    return StatusError(Code.UNAVAILABLE, f"The batch scheduling queue to which this task was submitted is full; {why}")
