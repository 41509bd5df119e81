"""Replays held-out rows against the model server at a steady rate, and reports predictions and late labels."""

from __future__ import annotations

import heapq
import itertools
import logging
import queue
import threading
import time
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
from airbag_demo.observations import LOST_CODES, Answer, Observations, Outcome
from airbag_demo.releases import MODEL

log = logging.getLogger("airbag.demo.traffic")

_DEADLINE = 5.0
_WORKERS = 48


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
    """Sends what a serving gateway would: predictions at once, each label `delay` seconds after its prediction."""

    def __init__(self, quality_url: str, delay: float) -> None:
        self._url = quality_url
        self._delay = delay
        self._incoming: queue.Queue[tuple[float, str, dict[str, object]]] = queue.Queue()
        self._waiting: list[tuple[float, int, str, dict[str, object]]] = []
        self._order = itertools.count()
        self._session = requests.Session()

    def prediction(self, identity: str, version: int, predicted: int, actual: int) -> None:
        """Queue one prediction and its later label."""
        now = time.monotonic()
        event: dict[str, object] = {
            "id": identity,
            "model_name": MODEL,
            "model_version": str(version),
            "predicted": str(predicted),
        }
        self._incoming.put((now, "predictions", event))
        self._incoming.put((now + self._delay, "labels", {"id": identity, "actual": str(actual)}))

    def send_due(self) -> None:
        """Send everything whose time has come, one batch a kind; a batch that cannot be sent is tried again."""
        while not self._incoming.empty():
            due, kind, event = self._incoming.get()
            heapq.heappush(self._waiting, (due, next(self._order), kind, event))
        batches: dict[str, list[dict[str, object]]] = {"predictions": [], "labels": []}
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            _, _, kind, event = heapq.heappop(self._waiting)
            batches[kind].append(event)
        for kind, events in batches.items():
            if events and not self._post(kind, events):
                for event in events:
                    self._incoming.put((time.monotonic() + 0.5, kind, event))

    def _post(self, kind: str, events: list[dict[str, object]]) -> bool:
        try:
            answer = self._session.post(f"{self._url}/v1/{kind}", json=events, timeout=2)
        except requests.RequestException as error:
            log.debug("quality exporter unreachable", extra={"kind": kind, "reason": str(error)})
            return False
        if not answer.ok:
            log.warning("quality exporter refused a batch", extra={"kind": kind, "reason": answer.text[:200]})
        return answer.status_code < 500


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
        self._reader.close()

    def _send(self) -> None:
        begun = time.monotonic()
        for number in itertools.count():
            if self._ended.wait(begun + number / self._rate - time.monotonic()):
                return
            self._pool.submit(self._ask, number)

    def _report(self) -> None:
        while not self._ended.wait(0.2):
            self._reports.send_due()

    def _ask(self, number: int) -> None:
        row = number % len(self._rows.digits)
        sent = time.time()
        begun = time.monotonic()
        try:
            answer = self._reader.predict(MODEL, {"pixels": self._rows.pixels[row : row + 1]}, timeout=_DEADLINE)
        except RemoteError as error:
            lost = not isinstance(error, Refused) or error.code in LOST_CODES
            self.seen.add(Answer(row, sent, time.time(), Outcome.LOST if lost else Outcome.ERROR))
            return
        digit, actual = int(answer.outputs["digit"][0]), int(self._rows.digits[row])
        slow = time.monotonic() - begun > self._latency_bound
        outcome = Outcome.SLOW if slow else Outcome.GOOD if digit == actual else Outcome.WRONG
        self.seen.add(Answer(row, sent, time.time(), outcome, answer.version, digit == actual))
        self._reports.prediction(f"{sent:.6f}-{number}", answer.version, digit, actual)
