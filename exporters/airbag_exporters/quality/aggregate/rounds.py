"""The loop: ask every replica, compute, keep the page; and what is told of the replicas themselves."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airbag.clock import Clock
from airbag.errors import AirbagError, Garbled
from airbag.exposition import Family, Samples
from airbag.http_config import HttpConfig
from airbag.rules import RuleSettings
from airbag_exporters.quality.aggregate.fleet import Fleet
from airbag_exporters.quality.aggregate.page import RecordsPage
from airbag_exporters.quality.aggregate.replicas import Replicas
from airbag_exporters.quality.render import Snapshot

log = logging.getLogger("airbag.quality.aggregate")

UP = Family("airbag_quality_aggregate_replica_up", "gauge", "Whether the replica gave its counters.", ("replica",))
AGE = Family("airbag_quality_aggregate_age_seconds", "gauge",
             "How old the newest counters of the replica are; absent before the first.", ("replica",))  # fmt: skip
FAILURES = Family("airbag_quality_aggregate_failures_total", "counter",
                  "Rounds in which the replica did not give its counters.", ("replica",))  # fmt: skip
DURATION = Family("airbag_quality_aggregate_compute_seconds", "gauge",
                  "How long it took to compute everything from the counters.", ())  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """What a configuration wants: which replicas, with which token, how often (seconds), over which windows."""

    urls: tuple[str, ...]
    token: str | None
    interval: float
    windows: RuleSettings
    http: HttpConfig | None = None


class Rounds:
    """Goes round in a thread of its own; `pages` may be called from any other."""

    def __init__(self, wanted: Wanted, clock: Clock, replicas: Replicas) -> None:
        self._clock = clock
        self._replicas = replicas
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aggregate")
        self._wanted = wanted
        self._fleet = Fleet(wanted.windows)
        self._page = RecordsPage()
        self._records = b""
        self._seconds: float | None = None
        self._up: Mapping[str, bool] = {}
        self._ages: Mapping[str, float] = {}
        self._failures: dict[str, int] = {}

    def adopt(self, wanted: Wanted) -> None:
        """Go on with another configuration from the next round on; other windows begin with nothing behind them."""
        self._wanted = wanted

    def not_ready(self) -> str | None:
        """Why there is nothing to show yet."""
        return None if self._seconds is not None else "no replica was asked yet"

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the round that is under way."""
        self._stop.set()
        self._thread.join()

    def pages(self) -> Iterable[bytes]:
        """What was computed last, and how the replicas are."""
        return [self._records, self._about().page()]

    def _run(self) -> None:
        while not self._stop.is_set():
            begun = self._clock.monotonic()
            try:
                self.round()
            except Exception:  # the top of the loop: what is not known is not shown, and the next round may do better
                self._records = b""
                log.exception("a round failed")
            self._stop.wait(max(0.0, begun + self._wanted.interval - self._clock.monotonic()))

    def round(self) -> None:
        """Ask, compute, show."""
        wanted = self._wanted
        if wanted.windows != self._fleet.windows:
            self._fleet = Fleet(wanted.windows)
        answers = self._replicas.ask(wanted.urls, wanted.token, wanted.http)
        now = self._clock.monotonic()
        self._up = {url: self._take(url, answer, now) for url, answer in answers.items()}
        self._fleet.keep(wanted.urls, now)
        records = self._fleet.records(now)
        self._records = self._page.text(records)
        self._ages = {url: at for url in wanted.urls if (at := self._fleet.latest(url)) is not None}
        self._seconds = self._clock.monotonic() - now

    def _take(self, url: str, answer: Snapshot | AirbagError, now: float) -> bool:
        self._failures.setdefault(url, 0)
        if isinstance(answer, Snapshot):
            try:
                self._fleet.look(url, now, answer)
            except Garbled as error:
                answer = error
            else:
                return True
        self._failures[url] += 1
        if self._up.get(url, True):
            log.warning("a replica does not give its counters", extra={"replica": url, "reason": str(answer)})
        return False

    def _about(self) -> Samples:
        samples, now = Samples((UP, AGE, FAILURES, DURATION)), self._clock.monotonic()
        for url, up in self._up.items():
            samples.add(UP, (url,), int(up))
            samples.add(FAILURES, (url,), self._failures[url])
        for url, at in self._ages.items():
            samples.add(AGE, (url,), now - at)
        if self._seconds is not None:
            samples.add(DURATION, (), self._seconds)
        return samples
