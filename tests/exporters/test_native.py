"""The tolerant parser of TF Serving's metrics page."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airbag_exporters.serving.defects import Kind
from airbag_exporters.serving.native import EDGES, INF, Bucket, Counter, Page, Parser, Requests, parse
from tests.exporters.native_page import PREFIX, histogram, line, write

REAL_PAGE = (Path(__file__).parents[1] / "golden" / "tf-serving-metrics-page.txt").read_bytes()
GOOD = {
    Requests("fraud", "OK"): 7,
    Requests("fraud", "INTERNAL"): 2,
    **histogram("fraud", "Predict", "GRPC", [20, 500]),
}
TYPE = b"# TYPE :tensorflow:serving:request_count counter\n"


def kinds(page: Page) -> list[Kind]:
    return [defect.kind for defect in page.defects]


def with_value(value: bytes) -> bytes:
    return TYPE + b':tensorflow:serving:request_count{model_name="m",status="OK"} ' + value + b"\n"


def test_reads_the_page_of_the_real_server() -> None:
    page = parse(REAL_PAGE)
    requests = {key: value for key, value in page.counters.items() if isinstance(key, Requests)}
    assert requests[Requests("m", "INVALID_ARGUMENT")] == 25
    assert requests[Requests("m?x=1", "NOT_FOUND")] == 1
    assert len(requests) == 12
    assert page.counters[Bucket("m", "Predict", "GRPC", "20823")] == 2
    assert page.counters[Bucket("m", "", "REST", INF)] == 8
    assert {key.edge for key in page.counters if isinstance(key, Bucket)} == set(EDGES)
    assert page.defects == ()
    assert page.complete


def test_a_server_that_nobody_has_asked_yet_has_a_page_without_defects() -> None:
    assert parse(TYPE + b"# TYPE :tensorflow:serving:request_latency histogram\n") == Page({})


def test_label_order_and_a_comma_at_the_end_do_not_matter() -> None:
    page = parse(b':tensorflow:serving:request_count{status="OK",model_name="m",} 4\n')
    assert page == Page({Requests("m", "OK"): 4})


def test_series_that_differ_only_in_labels_that_we_do_not_know_are_added_up() -> None:
    plain, one, two = (line(Requests("m", "OK"), value) for value in (1, 10, 100))
    page = parse(plain + one.replace(b"{", b'{signature="a",') + two.replace(b"}", b',signature="b"}'))
    assert page == Page({Requests("m", "OK"): 111})
    parts = [histogram("m", "Predict", "GRPC", [20.0 * part]) for part in (1, 2)]
    lines = [
        line(bucket, value).replace(b"{", b'{signature="%d",' % part)
        for part in (0, 1)
        for bucket, value in parts[part].items()
    ]
    assert parse(b"".join(lines)).counters == histogram("m", "Predict", "GRPC", [20.0, 40.0])


@pytest.mark.parametrize(
    ("text", "number"),
    [(b"5", 5), (b"5 1700000000000", 5), (b"5\r", 5), (b"5 \t", 5), (b"+5", 5), (b"1.2e+06", 1_200_000), (b"5.0", 5),
     (b"9223372036854775807", 2**63 - 1), (b"0", 0), (b"007", 7)],
)  # fmt: skip
def test_reads_a_whole_number_however_it_is_written(text: bytes, number: int) -> None:
    assert parse(with_value(text)) == Page({Requests("m", "OK"): number})


@pytest.mark.parametrize(
    "text",
    [b"", b"-1", b"NaN", b"+Inf", b"0.5", b"1e-3", b"9223372036854775808", b"1e19", b"1e99", b"1e999999999", b"5 5 5",
     b"1_000", b"0x10", b"9" * 5000, b"5 # {} 1", b"\xd9\xa1"],
)  # fmt: skip
def test_what_no_counter_of_the_server_can_hold_is_left_out_and_told(text: bytes) -> None:
    page = parse(with_value(text) + line(Requests("m", "INTERNAL"), 3))
    assert page.counters == {Requests("m", "INTERNAL"): 3}
    assert Kind.UNREADABLE in kinds(page)
    assert not page.complete


@pytest.mark.parametrize(
    "labels",
    [b"", b"{}", b'{model_name="m"}', b'{status="OK"}', b'{model_name="m",status="OK"', b'{model_name="m"status="OK"}',
     b"{model_name='m',status='OK'}", b'{model_name="a",model_name="m",status="OK"}', b'{model_name=m,status="OK"}'],
)  # fmt: skip
def test_a_line_without_our_labels_is_left_out_and_told(labels: bytes) -> None:
    bad = b":tensorflow:serving:request_count" + labels + b" 5\n"
    page = parse(write(GOOD) + bad)
    assert page.counters == GOOD
    (defect,) = page.defects
    assert (defect.kind, defect.count) == (Kind.UNREADABLE, 1)
    assert "request_count" in defect.example


def test_the_example_of_a_defect_is_bounded_and_printable() -> None:
    page = parse(TYPE + b':tensorflow:serving:request_count{model_name="\x1b[31m\xff\r' + b"x" * 5000 + b"\n")
    for defect in page.defects:
        assert len(defect.example) < 300
        assert defect.example.isascii()
        assert defect.example.isprintable()
        assert defect.remedy in str(defect)


def test_the_torn_end_of_a_page_is_not_taken_for_a_number() -> None:
    page = write({Requests("m", "OK"): 1234})
    torn = page[: page.index(b"1234") + 2]
    assert parse(torn).counters == {}
    assert kinds(parse(torn)) == [Kind.TORN]
    assert not parse(torn).complete


@pytest.mark.parametrize(("edge", "value"), [("10", None), ("121440", None), (INF, None), ("121440", 10**9)])
def test_a_histogram_that_lacks_a_bucket_or_falls_is_left_out_whole(edge: str, value: int | None) -> None:
    bad: dict[Counter, int] = histogram("m", "Predict", "GRPC", [100.0])
    del bad[Bucket("m", "Predict", "GRPC", edge)]
    if value is not None:
        bad[Bucket("m", "Predict", "GRPC", edge)] = value
    page = parse(write({**bad, **GOOD}))
    assert page.counters == GOOD
    assert [(defect.kind, defect.count) for defect in page.defects] == [(Kind.BROKEN, 1)]
    assert "model='m'" in page.defects[0].example
    assert not page.complete


def test_a_bucket_that_the_server_does_not_have_harms_no_histogram() -> None:
    page = parse(write(GOOD) + line(Bucket("fraud", "Predict", "GRPC", "11"), 1))
    assert page.counters == GOOD
    assert kinds(page) == [Kind.UNREADABLE]


def test_of_two_lines_for_one_series_the_first_counts() -> None:
    page = parse(write(GOOD) + b':tensorflow:serving:request_count{status="OK",model_name="fraud"} 900\n')
    assert page.counters == GOOD
    assert kinds(page) == [Kind.REPEATED]
    assert page.complete


def test_says_when_prometheus_would_refuse_the_page_and_reads_it_all_the_same() -> None:
    poisoned = {Requests("x\udcff", "NOT_FOUND"): 1, Requests("\udcfe", "NOT_FOUND"): 2, **GOOD}
    page = parse(write(poisoned))
    assert page.counters == poisoned
    (defect,) = page.defects
    assert (defect.kind, defect.count) == (Kind.REFUSED, 2)
    assert r'model_name="x\xff' in defect.example
    assert "Prometheus refuses this page" in str(defect)
    assert "only a restart of the server clears it" in str(defect)
    assert page.complete
    assert parse(write({Requests("größe", "NOT_FOUND"): 1})).defects == ()
    surrogate = with_value(b"5").replace(b'"m"', b'"\xed\xa0\x80"')
    assert kinds(parse(surrogate)) == [Kind.REFUSED]


def test_invalid_bytes_in_other_families_are_told_too() -> None:
    assert kinds(parse(write(GOOD) + b':tensorflow:core:graph_runs{name="\xff"} 1\n')) == [Kind.REFUSED]


@pytest.mark.parametrize(
    "page",
    [b"", b"\n", b"<!DOCTYPE html><title>404</title>", b"# TYPE node_load1 gauge\nnode_load1 0.5\n",
     b"# TYPE :tensorflow:core:graph_runs counter\n:tensorflow:core:graph_runs{} 5\n", bytes(range(256))],
)  # fmt: skip
def test_a_page_of_another_program_has_no_counters_and_says_so(page: bytes) -> None:
    found = parse(page)
    assert found.counters == {}
    assert kinds(found) == [Kind.FOREIGN]
    assert "`rest`" in str(found.defects[0])
    assert not found.complete


def test_reads_the_next_page_of_a_server_as_it_reads_the_first() -> None:
    parser = Parser()
    pages = [
        write(GOOD),
        write({counter: value * 3 for counter, value in GOOD.items()}),
        write({**GOOD, Requests("new\n", "NOT_FOUND"): 1}),
        write(GOOD) + with_value(b"5 "),
        write(GOOD) + with_value(b"9" * 19),
        write(GOOD) + b":tensorflow:serving:request_count 5\n",
        write(dict(list(GOOD.items())[:-1])),
        write(GOOD) + line(Requests("fraud", "OK"), 8),
        write(GOOD)[:-1],
        write(GOOD),
    ]
    for page in pages * 2:
        assert parser.parse(page) == parse(page)


def test_what_a_parser_keeps_is_bounded() -> None:
    parser, kept = Parser(), []
    tracemalloc.start()
    try:
        for page in range(10):
            short = (f"{page}-{number}" for number in range(2500))
            long = (f"{page}-{number}-{'x' * 50_000}" for number in range(20))
            parser.parse(write({Requests(name, "NOT_FOUND"): 1 for name in (*short, *long)}))
            kept.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert max(kept) < 12_000_000, kept


names = st.text(st.characters(codec="utf-8"), max_size=20) | st.binary(max_size=20).map(
    lambda name: name.decode(errors="surrogateescape")
)
values = st.integers(0, 2**63 - 1)
requests_ = st.dictionaries(st.builds(Requests, names, names), values, max_size=8)
histograms = st.lists(
    st.builds(histogram, names, names, names, st.lists(st.floats(0, 1e10), max_size=5)), max_size=3
).map(lambda parts: {counter: value for part in parts for counter, value in part.items()})


@given(requests_, histograms)
def test_reads_exactly_what_the_server_has_written(requests: dict[Counter, int], latency: dict[Counter, int]) -> None:
    page = parse(write({**requests, **latency}))
    assert page.counters == {**requests, **latency}
    assert set(kinds(page)) <= {Kind.REFUSED}


bad_lines = st.one_of(
    st.binary(max_size=80).map(lambda junk: junk.replace(b"\n", b"")),
    st.sampled_from(
        [
            b':tensorflow:serving:request_count{model_name="fraud',
            b':tensorflow:serving:request_count{model_name="',
            b':tensorflow:serving:request_count{model_name="a",',
            b':tensorflow:serving:request_count{model_name="fraud",status="OK"} NaN',
            b':tensorflow:serving:request_count{model_name="fraud",status="OK"} -3',
            b":tensorflow:serving:request_count{} 5",
            b':tensorflow:serving:request_latency_bucket{model_name="fraud",API="Predict",entrypoint="GRPC",le="x"} 5',
            b':tensorflow:core:graph_optimization_usecs{kind="G",name="t{any(a,b{c=0})}"} 9548',
            TYPE.strip(),
            b'"',
            b"\\",
        ]
    ),
)


@given(st.lists(bad_lines, max_size=20), st.randoms(use_true_random=False))
def test_no_good_line_is_lost_because_of_a_bad_one(bad: list[bytes], order: random.Random) -> None:
    lines = [*(junk + b"\n" for junk in bad), *(line(counter, value) for counter, value in GOOD.items())]
    order.shuffle(lines)
    assert parse(b"".join(lines)).counters == GOOD


@settings(max_examples=300)
@given(st.binary(max_size=2000) | st.text(alphabet=PREFIX + 'count{}",\\=\n 1le', max_size=2000).map(str.encode))
def test_never_raises(page: bytes) -> None:
    parse(page)
    parse(TYPE + page)
    parse(write(GOOD) + page)
