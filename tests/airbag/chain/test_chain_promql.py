"""What is told of an expression without running it."""

from __future__ import annotations

import pytest

from airbag.chain.documents import Rule
from airbag.chain.promql import behind, doubt, jobs, ranges, series
from airbag.chain.promql_labels import kept

RECORDS = {
    "m:x": Rule(record="m:x", expr="sum by (a, b) (x)"),
    "m:y": Rule(record="m:y", expr="m:x / on (a) m:x", labels={"c": "1"}),
    "m:loop": Rule(record="m:loop", expr="m:loop + m:loop"),
}


@pytest.mark.parametrize(
    ("expr", "labels"),
    [
        ("x", None),
        ("sum(x)", ""),
        ("sum by (a, b) (x)", "ab"),
        ("sum (x) by (a)", "a"),
        ("max without (a) (m:x)", "b"),
        ("sum by (a, z) (m:x)", "a"),
        ("topk(1, m:x)", "ab"),
        ("m:x", "ab"),
        ("m:y", "ac"),
        ("m:loop", None),
        ("m:x{a='1'} offset 5m", "ab"),
        ("max_over_time(m:x[5m])", "ab"),
        ("m:x > on (a) group_left () max by (a) (y)", "ab"),
        ("m:x > on (a) max by (a) (y)", "a"),
        ("m:x > ignoring (b) y", "a"),
        ("m:x and on (a) y", "ab"),
        ("m:x and sum by (a) (y) > on (a) z", "ab"),
        ("sum by (a) (x) * on (a) group_right () m:x", "ab"),
        ("0 * m:x", "ab"),
        ("m:x > bool 0.5e1", "ab"),
        ("m:x or sum by (a) (x)", "a"),
        ("vector(1)", ""),
        ("label_replace(m:x, 'd', '$1', 'a', '(.*)')", None),
        ("histogram_quantile(0.99, sum by (a, le) (x))", ("a", "le")),
        ("(" * 500 + "x" + ")" * 500, None),
        ("sum by (a", None),
        ("", None),
        ("sum by (a) (x) }", None),
    ],
    ids=range(28),
)
def test_labels_are_followed_through_aggregations_operators_and_records(expr: str, labels: str | None) -> None:
    assert kept(expr, RECORDS) == (None if labels is None else frozenset(labels))


def test_series_ranges_and_jobs_are_found_and_texts_are_not_mistaken_for_them() -> None:
    expr = """sum by (job) (rate(up{job="a-b", x=~"y|z"}[5m])) / on (q) group_left (w) max(m:x{v="up"} offset 1h) > 5e3
        or absent(other{job=~'c-(d|e)'}[1h:5s])"""
    assert series(expr) == {"up", "m:x", "other"}
    assert ranges(expr) == {"5m", "1h"}
    assert jobs(expr) == {("a-b", False), ("c-(d|e)", True)}


def test_what_an_alert_rests_on_is_followed_through_records_once_each() -> None:
    assert behind("m:y > 1", RECORDS) == ["m:y > 1", "m:x / on (a) m:x", "sum by (a, b) (x)"]
    assert behind("m:loop", RECORDS) == ["m:loop", "m:loop + m:loop"]


def test_standard_errors_are_found_in_the_records_that_add_them() -> None:
    records = RECORDS | {"m:bound": Rule(record="m:bound", expr="m:x + 4 *\n  m:x:stderr15s")}
    assert doubt("m:bound < 0.5", records) == 4
    assert doubt("m:x < 0.5", records) == 0
