"""What every intake tells about the batches it received."""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from airbag_exporters.quality.intake.taker import Kind

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Source(StrEnum):
    """Where a batch came from."""

    HTTP = "http"
    FILE = "file"
    STREAM = "stream"


class Reason(StrEnum):
    """Why a batch was not taken."""

    BATCH = "batch"  # it cannot be read, or says something that cannot be
    FORMAT = "format"  # content type, content encoding, no body
    TOO_LARGE = "too_large"
    TOKEN = "token"  # noqa: S105 - the name of a reason
    RATE = "rate"
    MEMORY = "memory"  # too many bytes in flight
    LEDGER = "ledger"  # it could not be committed
    DISCONNECTED = "disconnected"  # the client went away in the middle
    INTERNAL = "internal"  # a defect of ours; the log has it

    @property
    def later(self) -> bool:
        """Whether the same batch may be taken later, as it is."""
        return self in (Reason.RATE, Reason.MEMORY, Reason.LEDGER, Reason.INTERNAL)


class IntakeMetrics:
    """Batches and events by source; every series starts at 0."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._batches = Counter(
            "airbag_quality_batches", "Batches by outcome; unavailable ones may be sent again as they are.",
            ["source", "outcome"], registry=registry,
        )  # fmt: skip
        self._events = Counter(
            "airbag_quality_events", "Rows of accepted batches.", ["source", "kind"], registry=registry
        )
        self._refused = Counter(
            "airbag_quality_refused_batches", "Batches that were not taken, by reason.", ["reason"], registry=registry
        )
        self._seconds = Histogram(
            "airbag_quality_batch_duration_seconds", "From a complete body to its commit, of accepted batches.",
            ["source"], buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.in_flight = Gauge(
            "airbag_quality_in_flight_bytes", "Bytes of bodies that are being received, decompressed or counted.",
            registry=registry,
        )  # fmt: skip
        for source in Source:
            self._seconds.labels(source)
            for outcome in ("accepted", "refused", "unavailable"):
                self._batches.labels(source, outcome)
            for kind in Kind:
                self._events.labels(source, kind)
        for reason in Reason:
            self._refused.labels(reason)

    def accepted(self, source: Source, kind: Kind, rows: int, seconds: float) -> None:
        """A batch was committed, `seconds` after its body was complete."""
        self._batches.labels(source, "accepted").inc()
        self._events.labels(source, kind).inc(rows)
        self._seconds.labels(source).observe(seconds)

    def refused(self, source: Source, reason: Reason) -> None:
        """A batch was not taken; the reason decides whether it counts as refused or as unavailable."""
        self._batches.labels(source, "unavailable" if reason.later else "refused").inc()
        self._refused.labels(reason).inc()
