"""The pipelines as exposition text."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from airbag.exposition import Family, Samples, number
from airbag_exporters.config import ExportersConfig, Pipeline
from airbag_exporters.quality.columns import OTHER
from airbag_exporters.quality.pipelines.runs import STATUSES
from airbag_exporters.quality.pipelines.state import BUCKETS, PipelineState, State

_P = ("pipeline",)
TASK_RUNS = Family("airbag_pipeline_task_runs_total", "counter",
                   "Runs that ended, by task; the empty task is the run as a whole.",
                   (*_P, "task", "status"))  # fmt: skip
ROWS = Family("airbag_pipeline_rows_total", "counter", "Rows that were moved.", _P)
LOG_ERRORS = Family("airbag_pipeline_log_errors_total", "counter", "Errors in the logs of runs.", _P)
LAST_SYNC = Family("airbag_pipeline_last_sync_timestamp_seconds", "gauge", "Time of the newest data that arrived.", _P)
LAST_RUN = Family("airbag_pipeline_last_run_timestamp_seconds", "gauge", "When the newest reported run ended.", _P)
DELAY_MAX = Family("airbag_pipeline_sync_delay_max_seconds", "gauge", "How old the newest data may be.", _P)
SUCCESS_MIN = Family("airbag_pipeline_success_ratio_min", "gauge", "Share of runs that must succeed.", _P)
DURATION = Family("airbag_pipeline_run_duration_seconds", "histogram",
                  "How long runs as a whole took, without skipped ones.", _P)  # fmt: skip

_EDGES = (*(f'le="{edge}"' for edge in BUCKETS), 'le="+Inf"')


def pipeline_page(state: State, config: ExportersConfig) -> Iterable[bytes]:
    """Every configured pipeline and `other`, from 0 on. What is not known yet, such as the last sync, is absent."""
    samples = Samples((TASK_RUNS, ROWS, LOG_ERRORS, LAST_SYNC, LAST_RUN, DELAY_MAX, SUCCESS_MIN))
    durations = []
    for pipeline in config.pipelines:
        counted = state.pipelines.get(pipeline.name, PipelineState())
        _add(samples, pipeline.name, pipeline.tasks, counted)
        _add_judged(samples, pipeline, counted)
        durations.append(_histogram(pipeline.name, counted))
    rest = state.pipelines.get(OTHER, PipelineState())
    _add(samples, OTHER, (), rest)
    return [samples.page(), "".join([DURATION.head, *durations, _histogram(OTHER, rest)]).encode(errors="replace")]


def _add(samples: Samples, name: str, tasks: tuple[str, ...], counted: PipelineState) -> None:
    for task in ("", *tasks, OTHER):
        for status, count in zip(STATUSES, counted.tasks.get(task, (0, 0, 0)), strict=True):
            samples.add(TASK_RUNS, (name, task, status), count)
    samples.add(ROWS, (name,), counted.rows)
    samples.add(LOG_ERRORS, (name,), counted.log_errors)


def _add_judged(samples: Samples, pipeline: Pipeline, counted: PipelineState) -> None:
    samples.add(DELAY_MAX, (pipeline.name,), pipeline.sync_delay_max)
    samples.add(SUCCESS_MIN, (pipeline.name,), pipeline.success_ratio_min)
    if counted.last_sync is not None:
        samples.add(LAST_SYNC, (pipeline.name,), counted.last_sync)
    if counted.last_run is not None:
        samples.add(LAST_RUN, (pipeline.name,), counted.last_run)


def _histogram(name: str, counted: PipelineState) -> str:
    """Its sample lines. A count is the last bucket."""
    counts = list(accumulate(counted.durations))
    buckets = [
        f"{DURATION.series((name,), '_bucket', edge)}{count}\n" for edge, count in zip(_EDGES, counts, strict=True)
    ]
    return (
        f"{''.join(buckets)}{DURATION.series((name,), '_sum')}{number(counted.seconds)}\n"
        f"{DURATION.series((name,), '_count')}{counts[-1]}\n"
    )
