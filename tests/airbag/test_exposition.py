"""Prometheus' classic text format, read back by prometheus_client's parser."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from airbag.exposition import Family, Samples, number

GAUGE = Family("airbag_x", "gauge", "Says \\ and\nmore.", ("a", "b"))
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r"))


@given(TEXT, TEXT, st.floats())
def test_what_is_written_reads_back(a: str, b: str, value: float) -> None:
    samples = Samples([GAUGE])
    samples.add(GAUGE, (a, b), value)
    (family,) = text_string_to_metric_families(samples.page().decode())
    (sample,) = family.samples
    assert (sample.name, sample.labels) == ("airbag_x", {"a": a, "b": b})
    assert sample.value == value or math.isnan(sample.value) == math.isnan(value) is True
    assert family.documentation == GAUGE.text


@pytest.mark.parametrize(
    ("value", "text"),
    [(3, "3"), (True, "1"), (0.5, "0.5"), (math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf")],
)
def test_numbers_are_written_in_the_words_of_the_format(value: float, text: str) -> None:
    assert number(value) == text


def test_families_stand_in_their_order_each_once_also_without_samples() -> None:
    other = Family("airbag_y_total", "counter", "Counts.", ())
    samples = Samples([GAUGE, other])
    samples.add(other, (), 2)
    samples.add(GAUGE, ("1", "2"), 1)
    kinds = [line for line in samples.page().decode().splitlines() if not line.startswith("# HELP")]
    assert kinds == [
        "# TYPE airbag_x gauge", 'airbag_x{a="1",b="2"} 1', "# TYPE airbag_y_total counter", "airbag_y_total{} 2",
    ]  # fmt: skip


def test_labels_that_do_not_fit_are_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="airbag_x has the labels"):
        GAUGE.sample(("1",), 1)
