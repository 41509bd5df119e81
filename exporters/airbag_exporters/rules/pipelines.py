"""Whether the pipelines that bring data and labels run as usual."""

from __future__ import annotations

from airbag_exporters.rules.promql import increase
from airbag_exporters.rules.rule import Record

WINDOWS = ("1h", "1d")
"""For busy pipelines and for daily ones; they have nothing to do with the windows of model quality."""

_BY = "pipeline"
_DAYS = 7


def pipelines() -> list[Record]:
    """Usual is the mean of the same hour on the last seven days: a nightly run is not unusual each night."""
    rate = "pipeline:airbag_pipeline_rows:rate1h"
    usual_rate = "pipeline:airbag_pipeline_rows:usual_rate1h"
    errors = "pipeline:airbag_pipeline_log_errors:increase1h"
    usual_errors = "pipeline:airbag_pipeline_log_errors:usual_increase1h"
    return [
        Record(
            "pipeline:airbag_pipeline_sync_delay:seconds",
            f"clamp_min(time() - max by ({_BY}) (airbag_pipeline_last_sync_timestamp_seconds), 0)",
        ),
        *(record for window in WINDOWS for record in _success(window)),
        Record(rate, f"sum by ({_BY}) (rate(airbag_pipeline_rows_total[1h]))"),
        Record(usual_rate, _usual(rate)),
        Record("pipeline:airbag_pipeline_rows:deviation", f"({rate} - {usual_rate}) / ({usual_rate} > 0)"),
        Record(errors, increase(_BY, "airbag_pipeline_log_errors_total", "1h")),
        Record(usual_errors, _usual(errors)),
        Record("pipeline:airbag_pipeline_log_errors:growth", f"{errors} / clamp_min({usual_errors}, 1)"),
    ]


def _success(window: str) -> list[Record]:
    """Of tasks that ran; a skipped one says nothing."""
    runs = f"pipeline:airbag_pipeline_task_runs:increase{window}"
    good = increase(_BY, 'airbag_pipeline_task_runs_total{status="success"}', window)
    return [
        Record(runs, increase(_BY, 'airbag_pipeline_task_runs_total{status=~"success|failure"}', window)),
        Record(f"pipeline:airbag_pipeline_success:ratio{window}", f"{good} / ({runs} > 0)"),
    ]


def _usual(record: str) -> str:
    """Of as many days as there are."""
    days = (f'label_replace({record} offset {day}d, "day", "{day}", "pipeline", ".*")' for day in range(1, _DAYS + 1))
    return f"avg by ({_BY}) ({' or '.join(days)})"
