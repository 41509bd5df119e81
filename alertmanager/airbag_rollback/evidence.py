"""Asking Prometheus about a version, with every question and answer kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from airbag.clock import Clock
from airbag.errors import RemoteError
from airbag.rules import Profile
from airbag_rollback.engine.verdict import Measurement
from airbag_rollback.prometheus import Prometheus
from airbag_rollback.signals import Signal, fill


@dataclass(frozen=True)
class Reading:
    """One question to Prometheus: `outcome` is value, empty, nan (also infinite) or error."""

    what: str
    query: str
    asked_at: float
    outcome: str
    value: float | None = None
    error: str = ""


@dataclass
class Evidence:
    """Asks about one model of one serving, over the windows of a profile, and keeps what came back in `readings`."""

    prometheus: Prometheus
    clock: Clock
    serving: str
    model: str
    pace: Profile
    readings: list[Reading] = field(default_factory=list)

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
            filled = fill(query, self.serving, self.model, version, self.pace)
            reading = self._ask(f"{what} of {version}", filled, when)
            found[what] = reading.value
            if reading.outcome == "error":
                return Measurement(counted=bool(samples), detail=reading.error)
        return Measurement(
            found.get("value"), found.get("threshold"), found.get("samples"), found.get("samples_min"),
            found.get("age"),
            counted=bool(samples),
        )  # fmt: skip

    def _ask(self, what: str, query: str, at: float | None) -> Reading:
        now = self.clock.now()
        try:
            value = self.prometheus.instant(query, at)
        except RemoteError as error:
            reading = Reading(what, query, now, "error", error=str(error))
        else:
            outcome = "empty" if value is None else "value" if math.isfinite(value) else "nan"
            # JSON knows neither NaN nor infinity; the outcome says which it was not.
            reading = Reading(what, query, now, outcome, value if outcome == "value" else None)
        self.readings.append(reading)
        return reading
