"""Asks the golden requests of one server: each version at once when it becomes AVAILABLE, then every interval."""

from __future__ import annotations

import logging
import threading
from collections import Counter as Count
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from airbag.clock import Clock
from airbag.errors import ConfigError, RemoteError
from airbag.serving.groups import Golden
from airbag.serving.reader import Reader
from airbag.serving.values import Endpoint, State
from airbag_exporters.serving.golden.ask import Asker, Outcome
from airbag_exporters.serving.golden.due import due_at
from airbag_exporters.serving.golden.file import BESIDE_A_VERSION, Request, load_golden
from airbag_exporters.serving.golden.life import Life, Verdict
from airbag_exporters.serving.own_requests import OwnRequests
from airbag_exporters.serving.target_state import TargetState

log = logging.getLogger("airbag.exporter.serving")

AT_ONCE = 4
"""Models of one server that are asked at the same time. Threads come when they are needed, one for a calm server."""


@dataclass(frozen=True)
class Script:
    """What one model is asked, and how often. `requests` are those of the configured file, () without one."""

    golden: Golden
    requests: tuple[Request, ...] = ()


@dataclass(frozen=True)
class ProbePlan:
    """One server and the scripts of its models."""

    serving: str
    target: str
    endpoint: Endpoint
    scripts: Mapping[str, Script]


class Prober:
    """Give it what every poll saw (`seen`); it calls `changed` when a verdict came or went, from a thread of its own.

    `base_path` says where the versions of a model lie, None when that cannot be seen from here. `asked` counts by model
    and outcome. A server that hangs costs a model's turn its deadline and keeps no other model from its own.
    """

    def __init__(
        self,
        plan: ProbePlan,
        own: OwnRequests,
        clock: Clock,
        base_path: Callable[[str], Path | None],
        asked: Count[tuple[str, Outcome]],
        changed: Callable[[], None],
    ) -> None:
        self.plan = plan
        self._clock = clock
        self._base_path = base_path
        self._asked = asked
        self._changed = changed
        self._reader = Reader(plan.endpoint)
        self._asker = Asker(self._reader, own, clock)
        self._lock = threading.Lock()
        self._lives: dict[tuple[str, int], Life] = {}
        self._busy: set[str] = set()
        self._stopped = False
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=f"probe {plan.serving}/{plan.target}")

    def seen(self, state: TargetState) -> None:
        """What a poll saw. Returns at once; what is due is asked meanwhile."""
        now = self._clock.monotonic()
        with self._lock:
            ended = self._live(state, now)
            idle = {model for model in self.plan.scripts if model not in self._busy and self._due(model, now)}
            if self._stopped:
                return
            self._busy |= idle
            for model in sorted(idle):
                self._pool.submit(self._turn, model)
        if ended:
            self._changed()

    def stop(self) -> None:
        """Ask no more and give up what is in flight. What was found stays to be read."""
        with self._lock:
            self._stopped = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._reader.close()

    def lives(self) -> list[tuple[str, int, Life]]:
        """Every AVAILABLE version with what is known of it, as copies."""
        with self._lock:
            found = sorted(self._lives.items())
            return [(model, version, replace(life, verdicts=dict(life.verdicts))) for (model, version), life in found]

    def failing(self) -> list[tuple[str, int, dict[str, Verdict]]]:
        """The versions that fail golden requests, with the verdicts on those."""
        with self._lock:
            return [(*at, life.failing) for at, life in sorted(self._lives.items()) if life.failing]

    def _live(self, state: TargetState, now: float) -> bool:
        """Begin and end lives; whether one ended that had verdicts."""
        available = {
            (model, status.version)
            for model in self.plan.scripts
            for status in state.versions.get(model, ())
            if status.state is State.AVAILABLE
        }
        ended = [self._lives.pop(gone) for gone in self._lives.keys() - available]
        for model, version in available:
            life = self._lives.setdefault((model, version), Life())
            if state.defaults.get(model) != version:
                life.standing = replace(life.standing, default_since=None)
            elif life.standing.default_since is None:
                life.standing = replace(life.standing, default_since=now)
        return any(life.verdicts for life in ended)

    def _due(self, model: str, now: float) -> list[int]:
        """The versions of the model to ask now, the newest first."""
        interval = self.plan.scripts[model].golden.interval
        known = [(version, life) for (name, version), life in self._lives.items() if name == model]
        due = [version for version, life in known if due_at(life.standing, interval, now) <= now]
        return sorted(due, reverse=True)

    def _turn(self, model: str) -> None:
        """Ask every due version of one model. One turn a model at a time, so one request in flight a model."""
        try:
            with self._lock:
                due = self._due(model, self._clock.monotonic())
            for version in due:
                self._ask(model, version)
        except Exception:  # one surprising answer must not end the asking
            log.exception("golden requests failed for a reason of our own", extra=self._names(model))
        finally:
            with self._lock:
                self._busy.discard(model)

    def _ask(self, model: str, version: int) -> None:
        with self._lock:
            life = self._lives.get((model, version))
            if life is None:
                return
            life.standing = replace(life.standing, asked_at=self._clock.monotonic())
        is_answered = self._prepare(model, version, life)
        for request in life.requests or () if is_answered else ():
            is_answered = self._one(model, version, life, request)
            if not is_answered:
                break  # the others would wait as long
        with self._lock:
            life.standing = replace(life.standing, wrong=bool(life.failing), unanswered=not is_answered)

    def _prepare(self, model: str, version: int, life: Life) -> bool:
        """Find out what to ask, and in which types; whether the server told."""
        if life.requests is None:
            life.requests = self._requests(model, version)
        if life.signatures is None and life.requests:
            try:
                life.signatures = self._reader.signatures(model, version, self.plan.scripts[model].golden.timeout)
            except RemoteError as error:
                log.debug(
                    "no golden request could be asked", extra=self._names(model, version) | {"reason": str(error)}
                )
                return False
        return True

    def _requests(self, model: str, version: int) -> tuple[Request, ...]:
        script, base = self.plan.scripts[model], self._base_path(model)
        own = base / str(version) / BESIDE_A_VERSION if base else None
        if own is None or not own.is_file():
            return script.requests
        try:
            return load_golden(own)
        except ConfigError as error:
            log.warning(
                "the golden requests beside a version cannot be used, those of the configuration are asked",
                extra=self._names(model, version) | {"reason": str(error)},
            )
            return script.requests

    def _one(self, model: str, version: int, life: Life, request: Request) -> bool:
        """Ask one request and take its result in; whether there was an answer."""
        assert life.signatures is not None  # noqa: S101 - _prepare read them
        timeout = self.plan.scripts[model].golden.timeout
        result = self._asker.ask(model, version, request, life.signatures, timeout)
        with self._lock:
            if self._stopped or self._lives.get((model, version)) is not life:
                return False  # it left meanwhile, and what it said last no longer matters
            self._asked[model, result.outcome] += 1
            before = life.verdicts.get(request.name)
            verdict = life.take(request.name, result)
        names = self._names(model, version) | {"probe": request.name}
        if verdict and verdict.since is not None and (before is None or before.since is None):
            log.warning("a golden request fails", extra=names | {"reason": verdict.text})
        elif verdict and verdict.since is None and before and before.since is not None:
            log.info("a golden request is answered right again", extra=names)
        self._changed()
        return result.outcome is not Outcome.UNANSWERED

    def _names(self, model: str, version: int | None = None) -> dict[str, object]:
        names: dict[str, object] = {"serving": self.plan.serving, "target": self.plan.target, "model_name": model}
        return names | ({} if version is None else {"model_version": version})
