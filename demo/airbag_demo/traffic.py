"""Replays held-out rows against the model server at a steady rate, and reports predictions and late labels."""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import requests

from airbag.errors import Refused, RemoteError
from airbag.serving.reader import Reader
from airbag.serving.tensor import Array
from airbag.serving.values import Endpoint
from airbag_demo.drawing import features, stroke
from airbag_demo.observations import LOST_CODES, Answer, Observations, Outcome
from airbag_demo.releases import MODEL
from airbag_exporters.quality.client import QualityClient, Stats

log = logging.getLogger("airbag.demo")

_DEADLINE = 5.0
_WORKERS = 48
_REPORT_EVERY = 0.2
_RUN_EVERY = 5.0
_PIPELINE, _TASKS = "features", ("extract", "transform", "load")
_ROWS_PER_RUN = 250


@dataclass(frozen=True)
class Rows:
    """Held-out rows: (n, 64) pixels and their n digits."""

    pixels: Array
    digits: Array

    @classmethod
    def read(cls, path: Path) -> Rows:
        """From the file that the trainer wrote."""
        with np.load(path) as stored:
            return cls(stored["pixels"], stored["digits"])


class Reports:
    """Reports what a serving gateway would: predictions at once, each label `delay` seconds after its prediction.

    Close it when the traffic has ended.
    """

    def __init__(self, quality_url: str, delay: float) -> None:
        self._client = QualityClient(quality_url, interval=_REPORT_EVERY, backoff=(0.1, 1.0))
        self._delay = delay
        self._labels: deque[tuple[float, str, str]] = deque()
        self._runs_url = f"{quality_url}/v1/pipeline-runs"
        self._run_due = time.monotonic()

    def prediction(self, version: int, answer: Mapping[str, Array], pixels: Array, actual: int, took: float) -> None:
        """Tell one prediction, and what is to be said of it later. `pixels` (1, 64); `took` is in seconds."""
        described = {name: float(column[0]) for name, column in features(pixels).items()}
        identity = self._client.predicted(
            MODEL, version, str(answer["digit"][0]),
            scores=answer["probabilities"][0].tolist(), features=described,
            segments={"stroke": stroke(described["ink"])}, latency_seconds=took,
        )  # fmt: skip
        self._labels.append((time.monotonic() + self._delay, identity, str(actual)))

    def tell_due_labels(self) -> None:
        """Tell every label whose time has come."""
        while self._labels and self._labels[0][0] <= time.monotonic():
            _, identity, actual = self._labels.popleft()
            self._client.labelled(identity, actual)

    def tell_due_run(self) -> None:
        """Tell a run of the pipeline that feeds the model, when its time has come; one that cannot be told is lost."""
        if time.monotonic() < self._run_due:
            return
        self._run_due = time.monotonic() + _RUN_EVERY
        now = time.time()
        run = {
            "pipeline": _PIPELINE, "run_id": f"{now:.3f}", "status": "success", "synced_until": now - 1,
            "started_at": now - 2, "finished_at": now,
        }  # fmt: skip
        tasks = [run | {"task": task} for task in _TASKS]
        whole = run | {"rows": _ROWS_PER_RUN, "log_errors": 0}
        with contextlib.suppress(requests.RequestException):
            requests.post(self._runs_url, json=[*tasks, whole], timeout=2)

    def stats(self) -> Stats:
        """What became of the rows."""
        return self._client.stats()

    def close(self) -> None:
        """Send what is left, if that does not take long."""
        self._client.close(timeout=2.0)


class Traffic:
    """An open loop: requests leave on time whether or not earlier ones were answered."""

    def __init__(self, endpoint: Endpoint, rows: Rows, reports: Reports, *, rate: float, latency_bound: float) -> None:
        self.seen = Observations()
        self._reader = Reader(endpoint)
        self._rows = rows
        self._reports = reports
        self._rate = rate
        self._latency_bound = latency_bound
        self._ended = threading.Event()
        self._pool = ThreadPoolExecutor(_WORKERS, "request")
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._send, self._report)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._pool.shutdown()
        self._reports.close()
        self._reader.close()

    def _send(self) -> None:
        begun = time.monotonic()
        for number in itertools.count():
            if self._ended.wait(begun + number / self._rate - time.monotonic()):
                return
            self._pool.submit(self._ask, number)

    def _report(self) -> None:
        while not self._ended.wait(_REPORT_EVERY):
            self._reports.tell_due_labels()
            self._reports.tell_due_run()

    def _ask(self, number: int) -> None:
        row = number % len(self._rows.digits)
        pixels = self._rows.pixels[row : row + 1]
        sent = time.time()
        begun = time.monotonic()
        try:
            answer = self._reader.predict(MODEL, {"pixels": pixels}, timeout=_DEADLINE)
        except RemoteError as error:
            lost = not isinstance(error, Refused) or error.code in LOST_CODES
            if lost:
                log.warning("request lost: %s", error)
            self.seen.add(Answer(row, sent, time.time(), Outcome.LOST if lost else Outcome.ERROR))
            return
        digit, actual = int(answer.outputs["digit"][0]), int(self._rows.digits[row])
        took = time.monotonic() - begun
        slow = took > self._latency_bound
        outcome = Outcome.SLOW if slow else Outcome.GOOD if digit == actual else Outcome.WRONG
        self.seen.add(Answer(row, sent, time.time(), outcome, answer.version, digit == actual))
        self._reports.prediction(answer.version, answer.outputs, pixels, actual, took)
