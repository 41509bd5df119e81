"""The metrics page, byte for byte."""

from __future__ import annotations

import contextlib
import re

import numpy as np
import pytest

from airbag_demo.model_server.metrics import ServerMetrics
from airbag_demo.model_server.session_runs import SessionRuns

LATENCY_EDGES = """
10 18 32.4 58.32 104.976 188.957 340.122 612.22 1102 1983.59 3570.47 6426.84 11568.3 20823 37481.3 67466.4 121440 218591
393464 708235 1.27482e+06 2.29468e+06 4.13043e+06 7.43477e+06 1.33826e+07 2.40887e+07 4.33596e+07 7.80473e+07
1.40485e+08 2.52873e+08 4.55172e+08 8.19309e+08 1.47476e+09 +Inf
"""


def lines(metrics: ServerMetrics, name: str) -> list[str]:
    page = metrics.page().decode("utf-8", "surrogateescape")
    return [line for line in page.split("\n") if line.startswith(name)]


def test_every_registered_name_has_its_type_line_even_without_samples_and_no_help() -> None:
    page = ServerMetrics().page().decode()
    assert page.count("# TYPE ") == 149
    assert "# HELP" not in page
    assert (
        "# TYPE :tensorflow:serving:mlmd_map gauge\n# TYPE :tensorflow:serving:model_warmup_latency histogram\n" in page
    )
    assert page.endswith("counter\n")
    assert not page.endswith("\n\n")


def test_a_counter_has_no_total_and_a_series_only_after_its_first_event() -> None:
    metrics = ServerMetrics()
    metrics.request_count.add("m", "OK")
    metrics.request_count.add("m", "OK")
    metrics.request_count.add("", "INVALID_ARGUMENT")
    assert lines(metrics, ":tensorflow:serving:request_count{") == [
        ':tensorflow:serving:request_count{model_name="",status="INVALID_ARGUMENT"} 1',
        ':tensorflow:serving:request_count{model_name="m",status="OK"} 2',
    ]


def test_a_metric_without_labels_shows_empty_braces() -> None:
    metrics = ServerMetrics()
    metrics.graph_runs.add(by=3)
    metrics.graph_run_times.observe(12)
    assert lines(metrics, ":tensorflow:core:graph_runs{") == [":tensorflow:core:graph_runs{} 3"]
    assert lines(metrics, ":tensorflow:core:graph_run_time_usecs_histogram_sum") == [
        ":tensorflow:core:graph_run_time_usecs_histogram_sum{} 12"
    ]


def test_the_first_series_of_a_counter_is_found_by_its_name_with_slashes() -> None:
    metrics = ServerMetrics()
    assert metrics.first("/tensorflow/serving/request_count") == 0
    metrics.request_count.add("n", "OK")
    metrics.request_count.add("m", "OK", by=5)
    metrics.request_latency.observe(3, "m", "Predict", "GRPC")
    assert metrics.first("/tensorflow/serving/request_count") == 5
    assert metrics.first("/tensorflow/serving/request_latency") == 0
    assert metrics.first("/no/such/metric") == 0


def test_a_loaded_model_shows_gauges_that_are_always_0() -> None:
    metrics = ServerMetrics()
    assert lines(metrics, ":tensorflow:core:session_created") == []
    metrics.loaded("2")
    metrics.loaded("1")
    for name in ("saved_model:read:fingerprint", "saved_model:read:path", "session_created"):
        assert lines(metrics, f":tensorflow:core:{name}{{") == [f":tensorflow:core:{name}{{}} 0"]
    assert lines(metrics, ":tensorflow:core:saved_model:read:api{") == [
        ':tensorflow:core:saved_model:read:api{api_label="cc_load"} 2'
    ]
    assert lines(metrics, ":tensorflow:core:saved_model:read:count{") == [
        ':tensorflow:core:saved_model:read:count{write_version="1"} 1',
        ':tensorflow:core:saved_model:read:count{write_version="2"} 1',
    ]


def test_a_run_is_counted_from_its_start_and_its_time_only_when_it_succeeds() -> None:
    metrics = ServerMetrics()
    runs = SessionRuns(metrics, threads=1)
    with runs.counted([np.zeros(4, np.float32), np.array([b"abc", b""], dtype=object)]):
        runs.answered([np.zeros(2)])
    with pytest.raises(ZeroDivisionError), runs.counted([np.zeros(1)]):
        raise ZeroDivisionError
    assert lines(metrics, ":tensorflow:core:direct_session_runs{") == [":tensorflow:core:direct_session_runs{} 2"]
    assert lines(metrics, ":tensorflow:core:graph_runs{") == [":tensorflow:core:graph_runs{} 1"]
    assert lines(metrics, ":tensorflow:core:graph_run_input_tensor_bytes_sum") == [
        f":tensorflow:core:graph_run_input_tensor_bytes_sum{{}} {16 + 24 + 3 + 24 + 8}"
    ]
    assert lines(metrics, ":tensorflow:core:graph_run_output_tensor_bytes_sum") == [
        ":tensorflow:core:graph_run_output_tensor_bytes_sum{} 16"
    ]
    assert lines(metrics, ":tensorflow:core:graph_run_time_usecs_histogram_count{")[0].endswith(" 1")


def test_runs_that_wait_for_a_thread_are_seen_every_fifth_time() -> None:
    metrics = ServerMetrics()
    runs = SessionRuns(metrics, threads=2)
    with contextlib.ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(runs.counted([]))
    for _ in range(5):
        with runs.counted([]):
            pass
    assert lines(metrics, ":tensorflow:core:graph_pending_queue_length_histogram_sum") == [
        ":tensorflow:core:graph_pending_queue_length_histogram_sum{} 4"
    ]
    assert lines(metrics, ":tensorflow:core:graph_pending_queue_length_histogram_count") == [
        ":tensorflow:core:graph_pending_queue_length_histogram_count{} 3"
    ]


def test_a_latency_histogram_has_the_real_edges_as_text_with_le_last() -> None:
    metrics = ServerMetrics()
    metrics.request_latency.observe(11, "m", "Predict", "GRPC")
    buckets = lines(metrics, ":tensorflow:serving:request_latency_bucket")
    assert [re.search(r'le="([^"]*)"} \d+$', line)[1] for line in buckets] == LATENCY_EDGES.split()  # type: ignore[index]
    assert buckets[0] == (
        ':tensorflow:serving:request_latency_bucket{model_name="m",API="Predict",entrypoint="GRPC",le="10"} 0'
    )
    assert buckets[1].endswith('le="18"} 1')
    assert buckets[-1].endswith('le="+Inf"} 1')


def test_a_value_on_an_edge_falls_in_the_next_bucket() -> None:
    metrics = ServerMetrics()
    metrics.request_latency.observe(10, "m", "Predict", "GRPC")
    buckets = lines(metrics, ":tensorflow:serving:request_latency_bucket")
    assert buckets[0].endswith('le="10"} 0')
    assert buckets[1].endswith('le="18"} 1')


def test_a_sum_has_six_significant_digits() -> None:
    metrics = ServerMetrics()
    for value in (1_138_270, 4):
        metrics.request_latency.observe(value, "m", "Predict", "GRPC")
    assert lines(metrics, ":tensorflow:serving:request_latency_sum")[0].endswith(" 1.13827e+06")
    assert lines(metrics, ":tensorflow:serving:request_latency_count")[0].endswith(" 2")


def test_only_backslash_and_quote_are_escaped_and_broken_bytes_come_out_as_they_went_in() -> None:
    metrics = ServerMetrics()
    metrics.request_count.add('we"ird\\name', "NOT_FOUND")
    metrics.request_count.add("two\nlines", "NOT_FOUND")
    metrics.request_count.add("\udcff", "NOT_FOUND")
    page = metrics.page()
    assert b'model_name="we\\"ird\\\\name"' in page
    assert b'model_name="two\nlines"' in page
    assert b'model_name="\xff"' in page
