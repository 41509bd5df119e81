"""Prometheus, the servers and the clock as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from airbag.clock import Clock
from airbag.errors import Garbled, Refused, Unreachable
from airbag.http_config import HttpConfig
from airbag.http_session import why
from airbag_rollback.prometheus import Prometheus, Row

POINTS_MAX = 5_000
"""Points of a series that are asked for at once: Prometheus gives 11,000 at most, and memory is bounded by it."""

Key = tuple[tuple[str, str], ...]


class PastClock:
    """Stands where it is put."""

    def __init__(self, at: float) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        """Waits for nobody."""
        self.at += seconds


class PastPrometheus(Prometheus):
    """Answers as it would have at the clock's time; a question about an earlier moment is answered for that."""

    def __init__(self, url: str, clock: Clock, timeout: float = 60.0, http: HttpConfig | None = None) -> None:
        super().__init__(url, timeout=timeout, http=http)
        self._clock = clock
        self._ranges = f"{url.rstrip('/')}/api/v1/query_range"
        self._limit = timeout
        self.asked = 0

    def instant(self, query: str, at: float | None = None) -> float | None:
        self.asked += 1
        return super().instant(query, self._clock.now() if at is None else at)

    def vector(self, query: str, at: float | None = None) -> tuple[Row, ...]:
        self.asked += 1
        return super().vector(query, self._clock.now() if at is None else at)

    def series(self, query: str, start: float, end: float, step: float) -> dict[Key, list[tuple[float, float]]]:
        """Times and values of each series from `start` to `end`, at most POINTS_MAX steps. Raises as `instant` does."""
        form = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        self.asked += 1
        try:
            answer = self._http.post(self._ranges, data=form, timeout=self._limit, allow_redirects=False)
        except requests.RequestException as error:
            raise Unreachable(f"Prometheus at {self._ranges} gave no answer: {why(error, self._http)}") from error
        if answer.status_code != requests.codes.ok:
            raise Refused(f"Prometheus refused {query}: {answer.text[:200]}", str(answer.status_code))
        try:
            return {_key(row["metric"]): _points(row["values"]) for row in answer.json()["data"]["result"]}
        except (ValueError, KeyError, TypeError) as error:
            raise Garbled(f"Prometheus answered {query} with something that is no matrix") from error


def _points(values: list[list[Any]]) -> list[tuple[float, float]]:  # Any: JSON
    return [(float(at), float(text)) for at, text in values]


def _key(labels: Mapping[str, str]) -> Key:
    return tuple(sorted(labels.items()))


@dataclass
class Run:
    """A time in which a series was there and had one value: from its first to its last point."""

    labels: Mapping[str, str]
    value: float
    start: float
    end: float


@dataclass(frozen=True)
class Span:
    """The part of the past that is looked at. `told` hears how far it is, as a share."""

    start: float
    end: float
    step: float
    told: Callable[[str, float], None] = field(default=lambda _what, _share: None)

    def chunks(self) -> Iterator[tuple[float, float]]:
        """Parts that are asked for one after the other; each begins a step after the one before ended."""
        at = self.start
        while at <= self.end:
            last = min(at + (POINTS_MAX - 1) * self.step, self.end)
            yield at, last
            at = last + self.step


def runs(prometheus: PastPrometheus, query: str, span: Span, what: str) -> list[Run]:
    """The series that answer, as runs in the order of their start. What is kept grows with changes, not with time."""
    found: list[Run] = []
    latest: dict[Key, Run] = {}
    for start, end in span.chunks():
        for key, points in prometheus.series(query, start, end, span.step).items():
            for at, value in points:
                run = latest.get(key)
                if run is None or run.value != value or at - run.end > 1.5 * span.step:
                    run = latest[key] = Run(dict(key), value, at, at)
                    found.append(run)
                run.end = at
        span.told(what, (end - span.start + span.step) / (span.end - span.start + span.step))
    return sorted(found, key=lambda run: run.start)
