"""Asking Prometheus about a version, with every question and answer kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from airbag.clock import Clock
from airbag.errors import RemoteError
from airbag.rules import Profile
from airbag_rollback.engine.verdict import Measurement
from airbag_rollback.prometheus import Prometheus, Row
from airbag_rollback.signals import Signal, fill

T = TypeVar("T")


@dataclass(frozen=True)
class Reading:
    """One question to Prometheus: `outcome` is value, rows, empty, nan (also infinite) or error.

    With `rows` the value is how many series answered: they are too many to keep.
    """

    what: str
    query: str
    asked_at: float
    outcome: str
    value: float | None = None
    error: str = ""


@dataclass
class Evidence:
    """Asks about one model of one serving, over the windows of a profile, and keeps what came back in `readings`.

    It is one look: what was asked already is not asked again.
    """

    prometheus: Prometheus
    clock: Clock
    serving: str
    model: str
    pace: Profile
    readings: list[Reading] = field(default_factory=list)
    _known: dict[tuple[str, float | None], Reading] = field(default_factory=dict)

    def now(self, signal: Signal, version: int) -> Measurement:
        """What `version` measures at present."""
        return self._measure(signal, version, signal.value, signal.samples, None)

    def history(self, signal: Signal, version: int, at: float) -> Measurement:
        """What `version` measured in the minutes before `at`, when it last served."""
        measured = self._measure(signal, version, signal.history, signal.history_samples, at)
        return Measurement(
            measured.value, measured.threshold, measured.samples, measured.samples_min, 0.0,
            counted=measured.counted, detail=measured.detail,
        )  # fmt: skip

    def recovery(self, signal: Signal, version: int) -> Measurement:
        """What `version` measures now that it is the one that should serve again."""
        return self._measure(signal, version, signal.recovered or signal.value, signal.samples, None)

    def number(self, what: str, query: str, version: int, at: float | None = None) -> float | None:
        """One number about `version`; None when there is none, it is not finite, or nobody answered."""
        return self._ask(f"{what} of {version}", self._filled(query, version), at).value

    def rows(self, what: str, query: str, version: int, at: float | None = None) -> tuple[Row, ...] | None:
        """Every series that answers; None when nobody did."""
        filled = self._filled(query, version)
        found = self._try(what, filled, lambda: self.prometheus.vector(filled, at))
        if found is not None:
            outcome, count = ("rows", float(len(found))) if found else ("empty", None)
            self.readings.append(Reading(what, filled, self.clock.now(), outcome, count))
        return found

    def _filled(self, query: str, version: int) -> str:
        return fill(query, self.serving, self.model, version, self.pace)

    def _measure(self, signal: Signal, version: int, value: str, samples: str, at: float | None) -> Measurement:
        questions = {
            "value": (value, at),
            "threshold": (signal.threshold, None),
            "samples": (samples, at),
            "samples_min": (signal.samples_min, None),
            "age": ("" if at is not None else signal.age, None),
        }
        found: dict[str, float | None] = {}
        for what, (query, when) in questions.items():
            if not query:
                continue
            reading = self._ask(f"{what} of {version}", self._filled(query, version), when)
            found[what] = reading.value
            if reading.outcome == "error":
                return Measurement(counted=bool(samples), detail=reading.error)
        return Measurement(
            found.get("value"), found.get("threshold"), found.get("samples"), found.get("samples_min"),
            found.get("age"),
            counted=bool(samples),
        )  # fmt: skip

    def _ask(self, what: str, query: str, at: float | None) -> Reading:
        known = self._known.get((query, at))
        if known is not None:
            return known
        answer = self._try(what, query, lambda: (self.prometheus.instant(query, at),))
        if answer is None:
            return self.readings[-1]
        (value,) = answer
        outcome = "empty" if value is None else "value" if math.isfinite(value) else "nan"
        # JSON knows neither NaN nor infinity; the outcome says which it was not.
        reading = Reading(what, query, self.clock.now(), outcome, value if outcome == "value" else None)
        self.readings.append(reading)
        self._known[query, at] = reading
        return reading

    def _try(self, what: str, query: str, ask: Callable[[], T]) -> T | None:
        """The answer; None, with a reading that says why, when there is none."""
        try:
            return ask()
        except RemoteError as error:
            self.readings.append(Reading(what, query, self.clock.now(), "error", error=str(error)))
            return None
