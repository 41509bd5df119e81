"""The metrics page, byte for byte."""

from __future__ import annotations

import re

from airbag_demo.model_server.metrics import ServerMetrics

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
