"""What a report draws. One line of the table is one chart; the numbers are those that the alerts rest on."""

from __future__ import annotations

from dataclasses import dataclass

from airbag.config import parse_duration
from airbag.rules import RuleSettings
from airbag_rollback.engine.verdict import Bad
from airbag_rollback.report.units import Unit
from airbag_rollback.signals import SIGNALS, fill

_MODEL = '{serving="$serving",model_name="$model"}'
_RULE = "model_version:airbag_"


@dataclass(frozen=True)
class Panel:
    """A chart with a line for each version. Its limit is that of `alert`, or `limit`, which then `means` something."""

    key: str
    title: str
    unit: Unit
    query: str
    alert: str = ""
    limit: str = ""
    means: str = ""

    @property
    def bad(self) -> Bad:
        """On which side trouble lies."""
        return SIGNALS[self.alert].bad if self.alert in SIGNALS else Bad.ABOVE


def _by_version(series: str) -> str:
    return f"max by (model_version) ({series}{_MODEL})"


def _wrong() -> str:
    probes = f"airbag_tfs_probe_success{_MODEL}"
    count = "count by (model_version)"
    return f"{count} ({probes} == 0) or 0 * {count} ({probes})"


PANELS = (
    Panel("requests", "Requests per second", Unit.PER_SECOND,
          f"{_by_version(_RULE + 'tfs_requests:increase$window')} / $seconds"),
    Panel("errors", "Share of requests that failed", Unit.SHARE,
          _by_version(_RULE + "tfs_errors_per_request:ratio$window"), "AirbagErrorRatioHigh"),
    Panel("slow", "Share of answers that were slow", Unit.SHARE,
          _by_version(_RULE + "tfs_slow_per_answer:ratio$window"), "AirbagLatencyHigh"),
    Panel("p99", "99 of 100 answers came within", Unit.SECONDS,
          _by_version(_RULE + "tfs_request_duration_seconds:p99_$quality"),
          limit=f"max(airbag_tfs_latency_bound_seconds{_MODEL})", means="beyond it an answer is slow"),
    Panel("accuracy", "Share of labelled answers that were right", Unit.SHARE,
          _by_version(_RULE + "quality_accuracy:ratio$window"), "AirbagAccuracyLow"),
    Panel("drop", "Drop in accuracy below the version before, beyond chance", Unit.SHARE,
          _by_version(_RULE + "quality_release_accuracy:drop_lower_bound"), "AirbagAccuracyDropped"),
    Panel("probes", "Golden requests that were answered wrong", Unit.COUNT, _wrong(), "AirbagProbeFailed"),
)  # fmt: skip


@dataclass(frozen=True)
class Filled:
    """The two questions of a panel about one model."""

    query: str
    limit: str


def filled(panel: Panel, serving: str, model: str, rules: RuleSettings) -> Filled:
    """With names and windows put in. The names are known ones, so that nothing needs escaping."""
    limit = panel.limit or (SIGNALS[panel.alert].threshold if panel.alert else "")

    def put(query: str) -> str:
        query = query.replace("$seconds", f"{parse_duration(rules.verdict):g}").replace("$quality", rules.quality[0])
        return fill(query, serving, model, 0, rules.pace)

    return Filled(put(panel.query), put(limit))
