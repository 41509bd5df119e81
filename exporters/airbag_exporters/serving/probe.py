"""Servers that nobody listed: `/probe?target=HOST:PORT&module=NAME` watches one from its first scrape on.

What answered a request can only be told by a steady poll, so a target keeps its poller between scrapes and loses it
when nobody has asked for a while.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from airbag.clock import Clock
from airbag.metrics_page import exposition_response
from airbag.serving.groups import HOST_PORT
from airbag.serving.values import Endpoint
from airbag_exporters.config import ExportersConfig, ProbeModule
from airbag_exporters.serving.fleet import Key
from airbag_exporters.serving.poll import Plan, Poller
from airbag_exporters.serving.scrape import probe_page
from airbag_exporters.serving.wanted import ModelsFile

FORGOTTEN_AFTER = 300.0
TIMEOUT_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
TIMEOUT_DEFAULT = 10.0
TIMEOUT_OFFSET = 0.5
"""Seconds of Prometheus' scrape timeout that are left for the way back."""


class Refusal(Exception):
    """Why a probe is not made, and the HTTP status that says so."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass
class _Watched:
    poller: Poller
    thread: threading.Thread
    asked_at: float


class Probes:
    """The pollers of probed targets, by module and target."""

    def __init__(self, config: ExportersConfig, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._watched: dict[Key, _Watched] = {}
        self._config = config

    def adopt(self, config: ExportersConfig) -> None:
        """Probe by these modules from now on."""
        with self._lock:
            self._config = config
            for (name, target), each in list(self._watched.items()):
                module = config.modules.get(name)
                if module:
                    each.poller.adopt(_plan(name, target, module))
                else:
                    each.poller.stop()
                    del self._watched[name, target]

    def stop(self) -> None:
        """End every thread; returns within about two seconds."""
        with self._lock:
            watched, self._watched = self._watched, {}
        for each in watched.values():
            each.poller.stop()
        for each in watched.values():
            each.thread.join(timeout=2.0)

    def endpoint(self, request: Request) -> Response:
        """Answers `/probe`. Waits for the first poll of a new target as long as the scrape's timeout allows."""
        target = request.query_params.get("target", "")
        name = request.query_params.get("module", "default")
        try:
            module = self._module(name)
            poller = self._poller(name, target, module)
            self._wait(poller, _patience(request.headers.get(TIMEOUT_HEADER)))
        except Refusal as refusal:
            return PlainTextResponse(f"{refusal}\n", status_code=refusal.status)
        return exposition_response(request, probe_page(name, target, module.models_max, poller.state))

    def _module(self, name: str) -> ProbeModule:
        modules = self._config.modules
        if name not in modules:
            known = ", ".join(sorted(modules)) or "none; add some under `modules` in exporters.yml"
            raise Refusal(400, f"unknown module {name!r}; there are: {known}")
        return modules[name]

    def _poller(self, name: str, target: str, module: ProbeModule) -> Poller:
        if not re.fullmatch(HOST_PORT, target) or int(target.rpartition(":")[2]) > 65535:
            raise Refusal(400, f"`target` should be HOST:PORT of a server's gRPC port, not {target!r}")
        with self._lock:
            self._forget()
            watched = self._watched.get((name, target))
            if watched is None:
                if len(self._watched) >= self._config.probe_targets_max:
                    raise Refusal(503, f"already watching {len(self._watched)} targets; raise probe_targets_max")
                poller = Poller(_plan(name, target, module), self._clock)
                thread = threading.Thread(target=poller.run, name=f"probe {name}/{target}", daemon=True)
                watched = self._watched[name, target] = _Watched(poller, thread, 0.0)
                thread.start()
            watched.asked_at = self._clock.monotonic()
            watched.poller.rhythm.scraped(watched.asked_at)
            return watched.poller

    def _forget(self) -> None:
        long_ago = self._clock.monotonic() - FORGOTTEN_AFTER
        for key in [key for key, each in self._watched.items() if each.asked_at < long_ago]:
            self._watched.pop(key).poller.stop()

    def _wait(self, poller: Poller, patience: float) -> None:
        if not poller.polled.wait(patience):
            raise Refusal(503, f"no poll ended within {patience:g} s")


def _patience(header: str | None) -> float:
    if header is not None and not re.fullmatch(r"\d{1,9}(\.\d*)?", header):
        raise Refusal(400, f"{TIMEOUT_HEADER} should be a number of seconds, not {header!r}")
    timeout = float(header or TIMEOUT_DEFAULT)
    return min(max(timeout - TIMEOUT_OFFSET, 0.0), TIMEOUT_DEFAULT)


def _plan(name: str, target: str, module: ProbeModule) -> Plan:
    rest = f"{target.rpartition(':')[0]}:{module.rest_port}" if module.rest_port else None
    file = ModelsFile(module.model_config_file).models if module.model_config_file else dict
    return Plan(name, target, Endpoint(target, rest, module.grpc_tls), module, file)
