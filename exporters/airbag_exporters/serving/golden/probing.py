"""Everything around golden requests in one process: a prober per server, one page, the alerts that they give."""

from __future__ import annotations

import threading
from collections import Counter as Count
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from airbag.clock import Clock
from airbag_exporters.config import Alerts, ExportersConfig
from airbag_exporters.serving.alerts.alert import Alert, load_failed, probe_failed
from airbag_exporters.serving.alerts.loads import Loads, next_loads
from airbag_exporters.serving.alerts.pusher import SENT, Pusher
from airbag_exporters.serving.golden.ask import Outcome
from airbag_exporters.serving.golden.file import Request, load_all
from airbag_exporters.serving.golden.page import render
from airbag_exporters.serving.golden.prober import ProbePlan, Prober, Script
from airbag_exporters.serving.own_requests import OwnRequests
from airbag_exporters.serving.target_state import TargetState
from airbag_exporters.serving.wanted import FileModel

Key = tuple[str, str]


class Probing:
    """Asks golden requests as the pollers see versions come, and tells Alertmanager what failed.

    `files` gives, by the name of a serving, what its models.config says. `adopt` comes before `start` and before the
    pollers run.
    """

    def __init__(self, clock: Clock, files: Callable[[str], Mapping[str, FileModel]]) -> None:
        self._clock = clock
        self._files = files
        self._lock = threading.RLock()  # reentrant: a signal may interrupt a reload
        self._plans: dict[Key, ProbePlan] = {}
        self._probers: dict[Key, Prober] = {}
        self._loads: dict[Key, Loads] = {}
        self._asked: dict[Key, Count[tuple[str, Outcome]]] = {}
        self._alerts: Alerts | None = None
        self._pusher: Pusher | None = None
        self._sent = Count(dict.fromkeys(SENT, 0))
        self._is_started = False
        self._changes = 0
        self._page = (-1, b"")

    def adopt(self, config: ExportersConfig) -> None:
        """Ask what `config` names from now on. ConfigError, and nothing changed, when a golden file is wrong."""
        plans = {(plan.serving, plan.target): plan for plan in _plans(config, load_all(config))}
        with self._lock:
            for key in [key for key, prober in self._probers.items() if plans.get(key) != prober.plan]:
                self._probers.pop(key).stop()
            gone = self._plans.keys() - plans.keys()
            self._plans = plans
            if config.alerts != self._alerts:
                self._renew_pusher(config.alerts)
            for key in gone:
                self._loads.pop(key, None)
                self._tell(key)
            self._changes += 1

    def listener(self, serving: str, target: str, own: OwnRequests) -> Callable[[TargetState], None]:
        """What the poller of that target calls with its state after each poll. It never blocks."""
        return lambda state: self._seen((serving, target), own, state)

    def start(self) -> None:
        """Let alerts go out."""
        with self._lock:
            self._is_started = True
            if self._pusher:
                self._pusher.start()

    def stop(self) -> None:
        """End every thread; returns within about two seconds. What is in flight is given up."""
        with self._lock:
            self._is_started = False
            probers, pusher = list(self._probers.values()), self._pusher
        for prober in probers:
            prober.stop()
        if pusher:
            pusher.stop()
            pusher.join()

    def page(self) -> bytes:
        """The families of the probes, ready to append to a scrape in the classic text format. From any thread."""
        with self._lock:
            changes = self._changes  # read first: what changes while this renders is on the next page
            if self._page[0] != changes:
                asked = {(*key, *at): n for key, counts in self._asked.items() for at, n in counts.items()}
                probers = [self._probers[key] for key in sorted(self._probers)]
                self._page = changes, render(probers, asked, self._sent if self._alerts else {})
            return self._page[1]

    def _seen(self, key: Key, own: OwnRequests, state: TargetState) -> None:
        with self._lock:
            if key not in self._plans:
                return
            before = self._loads.get(key, Loads())
            self._loads[key] = next_loads(before, state, self._files(key[0]))
            is_news = self._loads[key].failed.keys() != before.failed.keys()
            prober = self._probers.get(key) or self._begin(key, own)
        if is_news:
            self._tell(key)
        if prober:
            prober.seen(state)

    def _begin(self, key: Key, own: OwnRequests) -> Prober | None:
        plan = self._plans[key]
        if not plan.scripts:
            return None

        def base_path(model: str) -> Path | None:
            entry = self._files(key[0]).get(model)
            return Path(entry.base_path) if entry else None

        asked = self._asked.setdefault(key, Count())
        asked.update({(model, outcome): 0 for model in plan.scripts for outcome in Outcome})
        self._probers[key] = Prober(plan, own, self._clock, base_path, asked, lambda: self._changed(key))
        self._changes += 1
        return self._probers[key]

    def _changed(self, key: Key) -> None:
        self._changes += 1
        self._tell(key)

    def _tell(self, key: Key) -> None:
        """Hand what holds on one server to the pusher."""
        with self._lock:
            if self._pusher:
                self._pusher.hold(key, list(self._holding(key)))

    def _holding(self, key: Key) -> Iterator[Alert]:
        for (model, version), (status, at) in self._loads.get(key, Loads()).failed.items():
            yield load_failed(*key, model, version, f"{status.error_code}: {status.error_message}", at)
        prober = self._probers.get(key)
        for model, version, verdicts in prober.failing() if prober else ():
            failing = {name: (verdict.text, verdict.since or 0.0) for name, verdict in verdicts.items()}
            yield probe_failed(*key, model, version, failing)

    def _renew_pusher(self, alerts: Alerts | None) -> None:
        if self._pusher:
            self._pusher.stop()
        self._alerts, self._pusher = alerts, None
        if alerts:
            self._pusher = Pusher(
                alerts.alertmanager_urls, alerts.labels, self._clock, self._sent, self._sent_one, alerts.http_config
            )
            for key in self._plans:
                self._tell(key)
            if self._is_started:
                self._pusher.start()

    def _sent_one(self) -> None:
        self._changes += 1


def _plans(config: ExportersConfig, files: Mapping[Path, tuple[Request, ...]]) -> Iterator[ProbePlan]:
    for group in config.servings:
        scripts = {
            model.name: Script(model.golden, files[model.golden.file] if model.golden.file else ())
            for model in group.models
            if model.golden
        }
        for target in group.targets:
            yield ProbePlan(group.name, target.name, group.endpoint(target), scripts)
