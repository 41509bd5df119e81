"""Clients of a model server in a process of their own: gRPC and REST, by default and by the label stable.

`python -m bench._clients GRPC REST RATE MODEL...` sends RATE requests a second, a quarter of each kind, until its
input ends; then it prints one JSON object: `sent` per kind, `seconds`, and every request that got no prediction.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

sys.path.insert(0, str(Path(__file__).parents[1]))

from airbag.errors import RemoteError
from airbag.serving.proto import tfs_pb2
from airbag.serving.reader import Reader
from airbag.serving.values import Endpoint

KINDS = ("gRPC default", "gRPC label", "REST default", "REST label")
LABEL = "stable"
TIMEOUT = 10.0
_THREADS_PER_KIND = 6


class Lost(Exception):
    """No prediction came; the message says what did."""


class Clients:
    """Threads that send on time as long as answers come in time; a late answer delays its own thread alone."""

    def __init__(self, grpc: str, rest: str, rate: float, models: list[str]) -> None:
        self._reader = Reader(Endpoint(grpc))
        self._rest = rest
        self._models = models
        self._pause = _THREADS_PER_KIND * len(KINDS) / rate
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self.sent = dict.fromkeys(KINDS, 0)
        self.lost: list[dict[str, Any]] = []

    def run(self) -> None:
        """Send until the input ends."""
        threads = [
            threading.Thread(target=self._send, args=(KINDS[number % len(KINDS)], number))
            for number in range(_THREADS_PER_KIND * len(KINDS))
        ]
        for thread in threads:
            thread.start()
        sys.stdin.read()
        self._ending.set()
        for thread in threads:
            thread.join()
        self._reader.close()

    def _send(self, kind: str, number: int) -> None:
        ask = self._ask(kind)
        due = time.monotonic() + self._pause * number / (_THREADS_PER_KIND * len(KINDS))
        for model in itertools.islice(itertools.cycle(self._models), number % len(self._models), None):
            if self._ending.wait(max(0.0, due - time.monotonic())):
                return
            due = max(due + self._pause, time.monotonic())
            began = time.time()
            try:
                ask(model)
            except Lost as error:
                self._note(
                    kind, {"kind": kind, "model": model, "began": began, "ended": time.time(), "error": str(error)}
                )
            else:
                self._note(kind)

    def _note(self, kind: str, lost: dict[str, Any] | None = None) -> None:
        with self._lock:
            self.sent[kind] += 1
            if lost:
                self.lost.append(lost)

    def _ask(self, kind: str) -> Callable[[str], None]:
        label = LABEL if kind.endswith("label") else ""
        if kind.startswith("gRPC"):
            return lambda model: self._by_grpc(model, label)
        session = requests.Session()
        return lambda model: self._by_rest(session, model, label)

    def _by_grpc(self, model: str, label: str) -> None:
        spec = tfs_pb2.ModelSpec(name=model, version_label=label) if label else tfs_pb2.ModelSpec(name=model)
        shape = tfs_pb2.TensorShapeProto(dim=[tfs_pb2.TensorShapeProto.Dim(size=1)])
        tensor = tfs_pb2.TensorProto(dtype=tfs_pb2.DT_FLOAT, tensor_shape=shape, float_val=[1.0])
        try:
            answer = self._reader.ask(tfs_pb2.PredictRequest(model_spec=spec, inputs={"x": tensor}), TIMEOUT)
        except RemoteError as error:
            raise Lost(str(error)) from error
        if "y" not in answer.outputs:
            raise Lost("an answer without a prediction")

    def _by_rest(self, session: requests.Session, model: str, label: str) -> None:
        path = f"{model}/labels/{label}" if label else model
        try:
            answer = session.post(
                f"http://{self._rest}/v1/models/{path}:predict", data='{"instances": [1.0]}', timeout=TIMEOUT
            )
        except requests.RequestException as error:
            raise Lost(f"{type(error).__name__}: {error}") from error
        if answer.status_code != 200 or "predictions" not in answer.text:
            raise Lost(f"{answer.status_code}: {answer.text[:200]}")


if __name__ == "__main__":
    clients = Clients(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4:])
    started = time.monotonic()
    clients.run()
    print(json.dumps({"sent": clients.sent, "seconds": time.monotonic() - started, "lost": clients.lost}))
