"""The tolerant parser of TF Serving's metrics page."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airbag_exporters.serving.native import EDGES, INF, Bucket, Requests, parse
from tests.exporters.native_page import histogram, line, write

REAL_PAGE = Path(__file__).parents[1] / "golden" / "tf-serving-metrics-page.txt"
GOOD = {
    Requests("fraud", "OK"): 7,
    Requests("fraud", "INTERNAL"): 2,
    **histogram("fraud", "Predict", "GRPC", [20, 500]),
}


def test_reads_the_page_of_the_real_server() -> None:
    counters = parse(REAL_PAGE.read_bytes()).counters
    requests = {key: value for key, value in counters.items() if isinstance(key, Requests)}
    assert requests[Requests("m", "INVALID_ARGUMENT")] == 25
    assert requests[Requests("m?x=1", "NOT_FOUND")] == 1
    assert len(requests) == 12
    assert counters[Bucket("m", "Predict", "GRPC", "20823")] == 2
    assert counters[Bucket("m", "", "REST", INF)] == 8
    assert {key.edge for key in counters if isinstance(key, Bucket)} == set(EDGES)


@pytest.mark.parametrize(
    "name", ['we"ird\\name', "two\nlines", "a}b{c", "\udcff\udcfe", "nul\x00cr\r", 'x",status="OK"} 9', "back\\", ""]
)
def test_reads_any_model_name_that_a_client_can_send(name: str) -> None:
    page = write({Requests(name, "NOT_FOUND"): 3, **GOOD})
    assert parse(page).counters == {Requests(name, "NOT_FOUND"): 3, **GOOD}


def test_a_client_cannot_fake_a_line_with_a_newline_in_a_name() -> None:
    fake = line(Requests("fraud", "INTERNAL"), 999).decode()
    counters = parse(write({Requests(f"x\n{fake}", "NOT_FOUND"): 1, **GOOD})).counters
    assert counters[Requests("fraud", "INTERNAL")] == 2


def test_label_order_and_labels_that_we_do_not_know_do_not_matter() -> None:
    page = b':tensorflow:serving:request_count{status="OK",signature="s",model_name="m"} 4\n'
    assert parse(page).counters == {Requests("m", "OK"): 4}


def test_the_torn_end_of_a_page_is_not_taken_for_a_number() -> None:
    page = write({Requests("m", "OK"): 1234})
    assert parse(page).counters == {Requests("m", "OK"): 1234}
    assert parse(page[:-2]).counters == {}


def test_a_histogram_that_lacks_a_bucket_is_left_out_whole() -> None:
    whole = histogram("m", "Predict", "GRPC", [100.0])
    torn = {key: value for key, value in whole.items() if key != Bucket("m", "Predict", "GRPC", "121440")}
    assert parse(write({**torn, **GOOD})).counters == GOOD


bad_lines = st.one_of(
    st.binary(max_size=80).map(lambda junk: junk.replace(b'"', b"'")),
    st.sampled_from(
        [
            b':tensorflow:serving:request_count{model_name="fraud',
            b':tensorflow:serving:request_count{model_name="fraud",status="OK"} NaN',
            b':tensorflow:serving:request_count{model_name="fraud",status="OK"} -3',
            b":tensorflow:serving:request_count{} 5",
            b':tensorflow:serving:request_latency_bucket{model_name="fraud",API="Predict",entrypoint="GRPC",le="x"} 5',
            b':tensorflow:core:graph_optimization_usecs{kind="G",name="t{any(a,b{c=0})}"} 9548',
            b"# TYPE :tensorflow:serving:request_count counter",
            b'"',
            b"\\",
        ]
    ),
)


@given(st.lists(bad_lines, max_size=20), st.randoms(use_true_random=False))
def test_no_good_line_is_lost_because_of_a_bad_one(bad: list[bytes], random: object) -> None:
    lines = [*(junk + b"\n" for junk in bad), *(line(counter, value) for counter, value in GOOD.items())]
    random.shuffle(lines)  # type: ignore[attr-defined] # hypothesis gives a random.Random
    assert parse(b"".join(lines)).counters == GOOD


@settings(max_examples=300)
@given(
    st.binary(max_size=2000)
    | st.text(alphabet=':tensorflow:serving:request_count{}",\\=\n 1le', max_size=2000).map(str.encode)
)
def test_never_raises(page: bytes) -> None:
    parse(page)
