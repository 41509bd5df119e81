"""What the sources tell: metrics, and a log line a minute."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from airbag.clock import Clock
from airbag_exporters.quality.intake.metrics import IntakeMetrics, Reason, Source
from airbag_exporters.quality.intake.taker import Kind

log = logging.getLogger("airbag.quality.sources")

_QUIET_SECONDS = 60.0


class SourceMetrics:
    """Series of the sources that are configured, all of them from the start."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.rejected = Counter(
            "airbag_quality_rejected_lines", "Lines of files and streams that were refused and set aside.",
            ["source"], registry=registry,
        )  # fmt: skip
        self.file_lag = Gauge(
            "airbag_quality_file_lag_bytes", "What the configured files hold and was not read yet.",
            ["path"], registry=registry,
        )  # fmt: skip
        self.stream_pending = Gauge(
            "airbag_quality_stream_pending_entries", "Entries that a consumer of the group has and did not confirm.",
            ["stream"], registry=registry,
        )  # fmt: skip
        self.stream_lag = Gauge(
            "airbag_quality_stream_lag_entries", "Entries that no consumer of the group has been given yet.",
            ["stream"], registry=registry,
        )  # fmt: skip
        for source in (Source.FILE, Source.STREAM):
            self.rejected.labels(source)


class Told:
    """What one source tells; of the same trouble once a minute at most."""

    def __init__(self, source: Source, place: str, metrics: SourceMetrics, intake: IntakeMetrics, clock: Clock) -> None:
        self.metrics = metrics
        self._source = source
        self._place = place
        self._intake = intake
        self._clock = clock
        self._quiet: dict[str, tuple[float, int]] = {}

    def accepted(self, kind: Kind, rows: int, seconds: float) -> None:
        """A batch was committed."""
        self._intake.accepted(self._source, kind, rows, seconds)

    def refused(self) -> None:
        """A batch holds lines that are never taken."""
        self._intake.refused(self._source, Reason.BATCH)

    def rejected(self, place: str, reason: str) -> None:
        """One of those lines was found and set aside."""
        self.metrics.rejected.labels(self._source).inc()
        self.warn("a line was refused and set aside", {"place": place, "reason": reason})

    def unavailable(self, error: Exception, reason: Reason) -> None:
        """A batch cannot be taken now; it will be tried again."""
        self._intake.refused(self._source, reason)
        self.warn("a batch waits to be counted", {"reason": str(error) or type(error).__name__})

    def warn(self, message: str, more: Mapping[str, object], *, error: bool = False) -> None:
        """Log it, unless the same message was there within a minute; then how often is told the next time."""
        now = self._clock.monotonic()
        since, silent = self._quiet.get(message, (-_QUIET_SECONDS, 0))
        if now - since < _QUIET_SECONDS:
            self._quiet[message] = (since, silent + 1)
            return
        self._quiet[message] = (now, 0)
        times = {"times_before": silent} if silent else {}
        log.warning(message, extra={"source": self._place, **more, **times}, exc_info=error)
