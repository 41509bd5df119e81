"""A model server with many models under traffic: TF Serving's own protocols, and counters that grow by chance."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

# Before gRPC is there: its hooks may abort a child that is forked while the server runs, and both are talkative.
os.environ |= {"GRPC_ENABLE_FORK_SUPPORT": "0", "GRPC_VERBOSITY": "NONE", "TF_CPP_MIN_LOG_LEVEL": "3"}

from airbag_exporters.serving.native import EDGES, INF, Bucket, Counter, Requests
from bench._pages import Pages
from tests.exporters.native_page import write
from tests.fakes.ports import free_port
from tests.fakes.tfs_wire import FakeServing, Status

QUICK, SLOW = 9_000.0, 150_000.0
"""Microseconds; the default bound lies between them."""

_PAGE = "/monitoring/prometheus/metrics"


@dataclass
class Model:
    """One model. `rate` tells requests a second at a moment since the start; of these some fail and some are slow."""

    name: str
    rate: Callable[[float], float]
    error_ratio: float = 0.0
    slow_ratio: float = 0.0
    counted: dict[str, int] = field(default_factory=lambda: {"ok": 0, "errors": 0, "slow": 0})
    until: float = 0.0
    first_error_shown_at: float | None = None


class BusyServer:
    """Requests arrive at random and are counted when the page is asked for. Any thread may call it.

    `first_error_shown_at` of a model is when its page first showed an error.
    """

    def __init__(self, models: Iterable[Model], seed: int | None = None) -> None:
        self.models = {model.name: model for model in models}
        self._chance = np.random.default_rng(seed)
        self._lock = threading.RLock()
        self._began = time.time()
        self._serving = FakeServing()
        self._serving.models = {name: {1: Status.AVAILABLE} for name in self.models}
        self._rest = free_port()
        self._http: Pages | None = None

    @property
    def addresses(self) -> tuple[str, str]:
        """gRPC and REST; the same after a restart."""
        return self._serving.address, f"127.0.0.1:{self._rest}"

    def start(self) -> None:
        """Answer, with all counters at 0."""
        now = time.time()
        with self._lock:
            for model in self.models.values():
                model.counted, model.until = {"ok": 0, "errors": 0, "slow": 0}, now
        self._serving.start()
        self._http = Pages(self._rest, lambda path: self.page() if path == _PAGE else None)

    def stop(self) -> None:
        """End at once, as a server that was killed."""
        if self._http:
            self._http.close()
            self._http = None
        self._serving.die()

    def fail(self, name: str, ratio: float) -> float:
        """From now on that share of the model's answers is an error; when that is."""
        with self._lock:
            model = self.models[name]
            self._count(model, now := time.time())
            model.error_ratio = ratio
            return now

    def show(self, name: str, versions: Mapping[int, int]) -> None:
        """The state number of each version; the highest one that is AVAILABLE answers."""
        self._serving.models[name] = dict(versions)

    def answering(self, name: str) -> int:
        """The version that clients get who name none."""
        return max(version for version, state in self._serving.models[name].items() if state == Status.AVAILABLE)

    def page(self) -> bytes:
        """What the native page says now."""
        counters: dict[Counter, int] = {}
        now = time.time()
        with self._lock:
            self._serving.requests.clear()
            for model in self.models.values():
                self._count(model, now)
                if model.counted["errors"] and model.first_error_shown_at is None:
                    model.first_error_shown_at = now
                counters |= _counters(model)
        return write(counters)

    def _count(self, model: Model, now: float) -> None:
        since, model.until = model.until, now
        asked = int(self._chance.poisson(max(0.0, model.rate(now - self._began)) * (now - since)))
        errors = int(self._chance.binomial(asked, model.error_ratio))
        model.counted["errors"] += errors
        model.counted["ok"] += asked - errors
        model.counted["slow"] += int(self._chance.binomial(asked - errors, model.slow_ratio))


def _counters(model: Model) -> dict[Counter, int]:
    """As the real server has them: a series is there from its first request on."""
    ok, errors, slow = (model.counted[name] for name in ("ok", "errors", "slow"))
    found: dict[Counter, int] = {}
    if ok:
        found[Requests(model.name, "OK")] = ok
        for edge in EDGES:
            below = math.inf if edge == INF else float(edge)
            count = (ok - slow) * (below > QUICK) + slow * (below > SLOW)
            found[Bucket(model.name, "Predict", "GRPC", edge)] = count
    if errors:
        found[Requests(model.name, "INTERNAL")] = errors
    return found


@contextmanager
def busy(models: Iterable[Model]) -> Iterator[BusyServer]:
    """A running one on free ports, ended with the block."""
    server = BusyServer(models)
    server.start()
    try:
        yield server
    finally:
        server.stop()
