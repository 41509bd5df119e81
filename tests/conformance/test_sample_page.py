"""The rules for metrics pages hold for the page that the real server core printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.kit.page import Page
from tests.conformance.kit.rules import EDGES_A, RULES, edges

SAMPLE = Path(__file__).parents[1] / "golden" / "tf-serving-metrics-page.txt"


@pytest.mark.parametrize("rule", RULES)
def test_the_real_page_keeps_the_rule(rule: str) -> None:
    RULES[rule](Page(SAMPLE.read_bytes()))


@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        ("names keep the leading colon, and hold nothing but letters, digits, _ and :", b"# TYPE a:x counter\n"),
        ("there is no HELP, and nothing but TYPE lines and samples without timestamps", b'# HELP x y\n'),
        ("there is no HELP, and nothing but TYPE lines and samples without timestamps", b'x{a="b"} 1 1700000000\n'),
        ("a histogram is cumulative buckets up to +Inf, then _sum, then _count",
         b'# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 0\nh_sum{} 1\nh_count{} 1\n'),
        ("le is the last label", b'h_bucket{le="1",a="b"} 0\n'),
        ("le and _sum have six significant digits in the style of %g", b"h_sum{} 1138270.0\n"),
        ("counters, gauges, buckets and counts are whole numbers", b"c{} 1.0\n"),
        ("metrics are ordered by their slash names", b"# TYPE :b counter\n# TYPE :a counter\n"),
        ("points are ordered by label values in label order", b'c{a="2"} 1\nc{a="1"} 1\n'),
        ("lines are joined by a newline, and one newline ends the page", b"c{} 1\n\n"),
    ],
)  # fmt: skip
def test_a_page_that_breaks_a_rule_is_noticed(rule: str, broken: bytes) -> None:
    with pytest.raises(AssertionError):
        RULES[rule](Page(broken))


def test_edges_are_written_as_the_page_writes_them() -> None:
    assert edges(10, 1.8, 33) == EDGES_A
    assert Page(SAMPLE.read_bytes()).edges("serving:request_latency") == EDGES_A


def test_a_page_with_newlines_braces_and_broken_bytes_in_values_is_read() -> None:
    raw = b'# TYPE :c counter\n:c{a="x}\ny",b="\\"\xff"} 3\n:c{} 4\n'
    page = Page(raw)
    assert [(one.labels, one.value) for one in page.samples] == [
        ((("a", "x}\ny"), ("b", '\\"\udcff')), "3"),
        ((), "4"),
    ]
    assert page.others == []
