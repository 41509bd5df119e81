"""What pipelines do, against what they did on the days before."""

from __future__ import annotations

from tests.prometheus.records.promtool import Case, Sample

_HOUR = 12
"""Pages: one every five minutes."""


def case() -> Case:
    """Each night from two to three the pipeline brings 6000 rows and logs 6 errors; on the fourth, 1500 and 30."""
    nights = [(6000.0, 6.0), (6000.0, 6.0), (6000.0, 6.0), (1500.0, 30.0)]
    rows, errors = [0.0], [0.0]
    for row, error in nights:
        for page in range(24 * _HOUR):
            runs = 2 * _HOUR <= page < 3 * _HOUR
            rows.append(rows[-1] + runs * row / _HOUR)
            errors.append(errors[-1] + runs * error / _HOUR)
    pages = len(rows)
    good = [10.0 * page for page in range(pages)]
    # The second replica restarts in the last hour, and its counters with it; by the next page it has counted one again.
    # So every page brings as much as the last: Prometheus 3 extrapolates from one page less, and says the same.
    restart = (3 * 24 + 2) * _HOUR + 6
    bad = [float(page) if page < restart else float(page - restart + 1) for page in range(pages)]
    end = (3 * 24 + 3) * _HOUR * 300
    shown = {
        'airbag_pipeline_rows_total{pipeline="features", instance="a"}': rows,
        'airbag_pipeline_log_errors_total{pipeline="features", instance="a"}': errors,
        'airbag_pipeline_task_runs_total{pipeline="features", task="load", status="success", instance="a"}': good,
        'airbag_pipeline_task_runs_total{pipeline="features", task="join", status="failure", instance="b"}': bad,
        'airbag_pipeline_task_runs_total{pipeline="features", task="join", status="skipped", instance="b"}': good,
        'airbag_pipeline_last_sync_timestamp_seconds{pipeline="features", instance="a"}': [end - 400.0] * pages,
        'airbag_pipeline_last_sync_timestamp_seconds{pipeline="features", instance="b"}': [end - 4000.0] * pages,
    }
    of = {"pipeline": "features"}
    expected = [
        Sample("pipeline:airbag_pipeline_sync_delay:seconds", of, 400),
        Sample("pipeline:airbag_pipeline_task_runs:increase1h", of, 132),
        Sample("pipeline:airbag_pipeline_success:ratio1h", of, 120 / 132),
        Sample("pipeline:airbag_pipeline_task_runs:increase1d", of, 2880 + 288),
        Sample("pipeline:airbag_pipeline_success:ratio1d", of, 2880 / 3168),
        Sample("pipeline:airbag_pipeline_rows:rate1h", of, 1500 / 3600),
        Sample("pipeline:airbag_pipeline_rows:usual_rate1h", of, 6000 / 3600),
        Sample("pipeline:airbag_pipeline_rows:deviation", of, -0.75),
        Sample("pipeline:airbag_pipeline_log_errors:increase1h", of, 30),
        Sample("pipeline:airbag_pipeline_log_errors:usual_increase1h", of, 6),
        Sample("pipeline:airbag_pipeline_log_errors:growth", of, 5),
    ]
    return Case(shown, expected, scrape=300, every=3600, at=end)
