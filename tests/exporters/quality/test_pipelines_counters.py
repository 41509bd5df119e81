"""What the counters of pipelines say, and that they are kept."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from airbag_exporters.config import ExportersConfig
from airbag_exporters.quality.media import NDJSON
from airbag_exporters.quality.pipelines.page import pipeline_page
from airbag_exporters.quality.pipelines.runs import decode_runs
from airbag_exporters.quality.pipelines.state import BUCKETS, PipelineState, State, count_runs
from tests.exporters.processes import assert_lints
from tests.exporters.quality.pipelines import CONFIG, NOW, configured, run


def counted(state: State, *runs: dict[str, Any]) -> State:
    body = "\n".join(json.dumps(each) for each in runs).encode()
    return count_runs(state, decode_runs(body, NDJSON, CONFIG, NOW).rows)


def page(state: State, config: ExportersConfig = CONFIG) -> str:
    return b"".join(pipeline_page(state, config)).decode()


def value(state: State, name: str, /, **labels: str) -> float | None:
    samples = [s for family in text_string_to_metric_families(page(state)) for s in family.samples]
    found = [s.value for s in samples if s.name == name and s.labels == labels]
    assert len(found) < 2
    return found[0] if found else None


def task_runs(state: State, pipeline: str, task: str, status: str) -> float | None:
    return value(state, "airbag_pipeline_task_runs_total", pipeline=pipeline, task=task, status=status)


def test_every_series_that_can_be_foreseen_starts_at_0() -> None:
    text = page(State())
    assert_lints(text)
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    counters = [s for s in samples if not s.name.endswith(("_max_seconds", "_ratio_min"))]
    assert {s.value for s in counters} == {0}
    runs = {(s.labels["pipeline"], s.labels["task"]) for s in samples if "task" in s.labels}
    assert runs == {
        ("features", ""), ("features", "extract"), ("features", "load"), ("features", "other"),
        ("labels", ""), ("labels", "other"), ("other", ""), ("other", "other"),
    }  # fmt: skip


def test_thresholds_stand_beside_the_values() -> None:
    assert value(State(), "airbag_pipeline_sync_delay_max_seconds", pipeline="features") == 300
    assert value(State(), "airbag_pipeline_success_ratio_min", pipeline="features") == 0.95
    assert value(State(), "airbag_pipeline_sync_delay_max_seconds", pipeline="labels") == 3600
    assert value(State(), "airbag_pipeline_success_ratio_min", pipeline="labels") == 0.9
    assert value(State(), "airbag_pipeline_success_ratio_min", pipeline="other") is None


def test_counts_runs_by_task_and_how_they_ended() -> None:
    state = counted(
        State(),
        run(run_id="1", task="load", rows=10),
        run(run_id="2", task="load", status="failure", log_errors=4),
        run(run_id="3", task="load", rows=5),
        run(run_id="3", task="extract", status="skipped"),
        run(run_id="3", pipeline="nobody's"),
    )
    assert task_runs(state, "features", "load", "success") == 2
    assert task_runs(state, "features", "load", "failure") == 1
    assert task_runs(state, "features", "extract", "skipped") == 1
    assert task_runs(state, "other", "", "success") == 1
    assert value(state, "airbag_pipeline_rows_total", pipeline="features") == 15
    assert value(state, "airbag_pipeline_log_errors_total", pipeline="features") == 4
    assert_lints(page(state))


def test_durations_are_those_of_runs_as_a_whole_and_not_of_skipped_ones() -> None:
    def lasting(seconds: float, **more: Any) -> dict[str, Any]:
        return run(started_at=NOW - seconds, finished_at=NOW, **more)

    state = counted(
        State(), lasting(60, run_id="1"), lasting(61, run_id="2", status="failure"), lasting(10**6, run_id="3"),
        lasting(30, run_id="4", status="skipped"), lasting(30, run_id="5", task="load"),
    )  # fmt: skip

    def bucket(edge: str) -> float | None:
        return value(state, "airbag_pipeline_run_duration_seconds_bucket", pipeline="features", le=edge)

    assert [bucket(edge) for edge in ("15", "60", "300", "86400", "+Inf")] == [0, 1, 2, 2, 3]
    assert value(state, "airbag_pipeline_run_duration_seconds_sum", pipeline="features") == 1_000_121
    assert value(state, "airbag_pipeline_run_duration_seconds_count", pipeline="features") == 3


def test_timestamps_are_absent_until_known_and_never_go_back() -> None:
    sync, last = "airbag_pipeline_last_sync_timestamp_seconds", "airbag_pipeline_last_run_timestamp_seconds"
    assert (value(State(), sync, pipeline="features"), value(State(), last, pipeline="features")) == (None, None)
    state = counted(State(), run(finished_at=NOW, synced_until=NOW - 60))
    late = counted(state, run(run_id="2", synced_until=NOW - 3600), run(run_id="3"))
    for each in (state, late):
        assert value(each, sync, pipeline="features") == NOW - 60
        assert value(each, last, pipeline="features") == NOW
    assert value(counted(late, run(run_id="4", synced_until=NOW)), sync, pipeline="features") == NOW


def test_counting_leaves_the_state_before_as_it_was() -> None:
    before = counted(State(), run())
    counted(before, run(run_id="2"))
    assert task_runs(before, "features", "", "success") == 1


def test_what_was_kept_is_what_was_counted() -> None:
    state = counted(State(), run(rows=7, synced_until=NOW), run(task="load", status="failure"))
    assert State.from_bytes(state.to_bytes()) == state
    assert page(State.from_bytes(state.to_bytes())) == page(state)


@pytest.mark.parametrize("kept", [b"", b"\xc1", b"\x01", b'{"pipelines": 3}'])
def test_what_cannot_be_read_starts_anew_and_is_told(kept: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert State.from_bytes(kept) == State()
    assert "start anew" in caplog.text


def test_counters_with_other_buckets_start_anew() -> None:
    other = State({"features": PipelineState(durations=(0,) * len(BUCKETS)), "labels": PipelineState(rows=3)})
    assert set(State.from_bytes(other.to_bytes()).pipelines) == {"labels"}


def test_a_pipeline_that_left_the_configuration_leaves_the_page_and_may_come_back() -> None:
    state = counted(State(), run())
    assert "features" not in page(state, configured("[{name: labels}]"))
    assert task_runs(counted(state, run(run_id="2")), "features", "", "success") == 2
