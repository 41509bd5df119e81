"""The steady poll of one server: once a second, on a thread of its own, so that no server waits for another."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from airbag.clock import Clock
from airbag.serving.groups import ModelEntry, Module
from airbag.serving.reader import Reader
from airbag.serving.values import Endpoint
from airbag_exporters.serving import native
from airbag_exporters.serving.attribution import Attribution
from airbag_exporters.serving.discovery import Discovery
from airbag_exporters.serving.look import PARTS, Observation, observe
from airbag_exporters.serving.own_requests import OwnRequests
from airbag_exporters.serving.page import TargetPage
from airbag_exporters.serving.rhythm import Rhythm
from airbag_exporters.serving.shown import Shown
from airbag_exporters.serving.state_file import Saved, StateFile
from airbag_exporters.serving.target_state import TargetState
from airbag_exporters.serving.totals import Totals
from airbag_exporters.serving.wanted import FileModel

log = logging.getLogger("airbag.exporter.serving")
K = TypeVar("K")
T = TypeVar("T")

REASON_MAX = 1000
STALE_AFTER = 5.0
"""Seconds for which what was last seen of a server is still shown while it cannot be read."""

_GRPC = "check that the server runs and that `grpc` of this target is its gRPC port"
_REST = "check `rest` of this target, and that the server runs with --rest_api_port and --monitoring_config_file"
_REMEDIES = {"status": _GRPC, "metadata": _GRPC, "metrics": _REST}


@dataclass(frozen=True)
class Plan:
    """What to poll. `file` gives what models.config says at the time."""

    serving: str
    target: str
    endpoint: Endpoint
    module: Module
    file: Callable[[], Mapping[str, FileModel]] = dict


class Poller:
    """Polls one server and keeps its counters. Any thread may read `state`; `run` and `poll` belong to one.

    `own` is for whoever asks the same server golden requests. `listener` is called with the state after each poll and
    must not block. `polled` is set once `run` has tried the first time. `rhythm` wants to hear of each scrape.
    """

    def __init__(self, plan: Plan, clock: Clock, state_file: StateFile | None = None) -> None:
        self.own = OwnRequests()
        self.polled = threading.Event()
        self.rhythm = Rhythm()
        self.listener: Callable[[TargetState], None] = lambda _state: None
        self._plan = plan
        self._clock = clock
        self._stopped = threading.Event()
        self._reader: Reader | None = None
        self._opened: object = None
        self._file = state_file
        saved = state_file.load() if state_file else None
        self._address = saved.address if saved else None
        self._attribution = Attribution(saved.last if saved else None)
        self._parser = native.Parser()
        self._totals = saved.totals if saved else Totals()
        self._page = TargetPage(plan.serving, plan.target)
        self._discovery = Discovery(clock)
        self._shown = Shown(clock)
        self._saved: object = None
        self._answered_at: dict[str, float] = {}
        self._failing_since: dict[str, float] = {}
        self.state = TargetState()
        if saved:
            self.state = TargetState(
                switches=saved.switches, last_defaults=saved.last_defaults, previous_defaults=saved.previous_defaults
            )

    def adopt(self, plan: Plan) -> None:
        """Poll by this plan from the next tick on. Counters go on, also when the address changes."""
        self._plan = plan

    def stop(self) -> None:
        """End `run` at its next tick."""
        self._stopped.set()

    def run(self) -> None:
        """Poll once a second until `stop`."""
        tick = self._clock.monotonic()
        while not self._stopped.is_set():
            try:
                self.poll()
                self.listener(self.state)
            except Exception:  # one surprising answer must not end the polling of this server
                log.exception("a poll failed for a reason of our own", extra=self._names())
                self.state = replace(self.state, polled_at=self._clock.now(), parts=dict.fromkeys(PARTS, False))
            self.polled.set()
            now = self._clock.monotonic()
            tick = self.rhythm.next(tick, now)
            self._clock.sleep(tick - now)
        if self._reader:
            self._reader.close()

    def poll(self) -> None:
        """One tick: look, count, save, publish."""
        plan, started = self._plan, self._clock.monotonic()
        file = plan.file()
        models = self._discovery.models(plan.module, file)
        seen = observe(self._open(plan), models, self._clock, self._parser, self.own, self._candidates(models))
        for name, is_known in seen.known.items():
            self._discovery.answered(name, is_known)
        if any(seen.known.values()):
            models = self._discovery.models(plan.module, file)
        self._count(seen, models, {name: each.base_path for name, each in file.items()})
        self._tell(seen)
        state = self._with_versions(self._with_defaults(self.state, seen), seen)
        self._save(state)
        listed = {*file, *(model.name for model in plan.module.models)}
        self.state = replace(
            state,
            models=models,
            polled_at=self._clock.now(),
            duration=self._clock.monotonic() - started,
            parts={part: failure is None for part, failure in seen.failures.items()},
            lines=self._page.render(self._shown.models(models, state, file, self._totals, listed), self._totals),
        )

    def _candidates(self, models: tuple[ModelEntry, ...]) -> Callable[[native.Page], list[str]]:
        watched = [model.name for model in models]
        return lambda page: self._discovery.candidates(
            self._plan.module, (each.model for each in page.counters if isinstance(each, native.Requests)), watched
        )

    def _count(self, seen: Observation, models: tuple[ModelEntry, ...], folders: Mapping[str, str]) -> None:
        routing = {model.name: model.routing for model in models}
        bounds = {model.name: model.expect.latency_bound for model in models}
        self._totals.add(self._attribution.observe(seen.sample, routing, folders), bounds)

    def _save(self, state: TargetState) -> None:
        defaults = (state.switches, state.last_defaults, state.previous_defaults)
        now = (self._address, self._attribution.last, *defaults)
        if self._file and self._address and now != self._saved:
            self._file.save(Saved(self._address, self._attribution.last, self._totals, *defaults))
            self._saved = now

    def _open(self, plan: Plan) -> Reader:
        address = (plan.endpoint.grpc, plan.endpoint.rest)
        wanted = (plan.endpoint, plan.module.native_metrics_path)
        if self._address not in (None, address):  # another process, whose counters have nothing to do with the last
            self._attribution = Attribution()
        self._address = address
        if self._reader is None or self._opened != wanted:
            if self._reader:
                self._reader.close()
            self._reader, self._opened = Reader(*wanted), wanted
        return self._reader

    def _with_versions(self, state: TargetState, seen: Observation) -> TargetState:
        return replace(state, versions=self._still_fresh("status", state.versions, seen.versions))

    def _with_defaults(self, state: TargetState, seen: Observation) -> TargetState:
        last, previous, switches = dict(state.last_defaults), dict(state.previous_defaults), dict(state.switches)
        for name, version in (item for defaults in seen.defaults for item in defaults.items()):
            if version is not None:
                switches.setdefault(name, 0)
                if last.get(name, version) != version:
                    switches[name] += 1
                    previous[name] = last[name]
                last[name] = version
        newest = {**seen.defaults[0], **seen.defaults[1]}
        defaults = self._still_fresh("metadata", state.defaults, newest)
        labels = self._still_fresh("metadata", state.labels, seen.labels)
        return replace(
            state, defaults=defaults, last_defaults=last, previous_defaults=previous, switches=switches, labels=labels
        )

    def _still_fresh(self, part: str, old: Mapping[K, T], new: Mapping[K, T]) -> dict[K, T]:
        """What was just read over what was read before, the latter only while it is no older than STALE_AFTER."""
        now = self._clock.monotonic()
        if new:
            self._answered_at[part] = now
        return {**old, **new} if self._answered_at.get(part, now) > now - STALE_AFTER else {}

    def _tell(self, seen: Observation) -> None:
        """Say when a part begins to fail and when it works again, not in between."""
        for part, failure in seen.failures.items():
            if failure and part not in self._failing_since:
                self._failing_since[part] = self._clock.monotonic()
                detail = {"part": part, "reason": str(failure)[:REASON_MAX]}
                if part in _REMEDIES:
                    detail["remedy"] = _REMEDIES[part]
                log.warning("cannot be read", extra={**self._names(), **detail})
            elif not failure and part in self._failing_since:
                seconds = round(self._clock.monotonic() - self._failing_since.pop(part), 1)
                log.info("can be read again", extra={**self._names(), "part": part, "failed_seconds": seconds})

    def _names(self) -> dict[str, object]:
        return {"serving": self._plan.serving, "target": self._plan.target}
