"""Counts graph runs as TensorFlow does: all models together, loads included."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from airbag_demo.model_server.metrics import ServerMetrics

STRING_HEADER_BYTES = 24
QUEUE_EVERY = 5


class SessionRuns:
    """Safe for use from several threads. `threads` is how many runs can work at a time."""

    def __init__(self, metrics: ServerMetrics, threads: int) -> None:
        self._metrics = metrics
        self._threads = threads
        self._lock = threading.Lock()
        self._started = 0
        self._running = 0

    @contextmanager
    def counted(self, inputs: Iterable[Any]) -> Iterator[None]:
        """A run: counted from its start among the session's runs, and among the graph's runs only if it succeeds."""
        self._metrics.session_runs.add()
        self._metrics.input_bytes.observe(tensor_bytes(inputs))
        started = time.perf_counter()
        with self._queued():
            yield
        micros = int((time.perf_counter() - started) * 1e6)
        self._metrics.graph_runs.add()
        self._metrics.graph_run_time.add(by=micros)
        self._metrics.graph_run_times.observe(micros)

    def answered(self, outputs: Iterable[Any]) -> None:
        self._metrics.output_bytes.observe(tensor_bytes(outputs))

    def built(self) -> None:
        """A graph was made for a set of tensors that had not been fed and fetched together before."""
        self._metrics.graph_builds.add()

    @contextmanager
    def _queued(self) -> Iterator[None]:
        """Looks now and then how many runs wait for a thread. TensorFlow itself counts the ops that wait."""
        with self._lock:
            if self._started % QUEUE_EVERY == 0:
                self._metrics.pending_queue.observe(max(0, self._running + 1 - self._threads))
            self._started += 1
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1


def tensor_bytes(arrays: Iterable[Any]) -> int:
    """What TensorFlow counts: a text has its own length and a header."""
    return sum(_array_bytes(np.asarray(array)) for array in arrays)


def _array_bytes(array: Any) -> int:
    if array.dtype != object:
        return int(array.nbytes)
    return sum(STRING_HEADER_BYTES + len(text) for text in array.ravel())
