"""Our own counters, and the times at which a poll happens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbag_exporters.serving import native
from airbag_exporters.serving.attribution import Increase
from airbag_exporters.serving.native import Bucket, Requests
from airbag_exporters.serving.totals import EDGES, OTHER, Owned, Totals, slow_edge
from tests.exporters.native_page import histogram

TWO = Owned("m", "2")


def increases(micros: list[float], owner: str = "2", api: str = "Predict") -> list[Increase]:
    return [Increase(bucket, owner, count) for bucket, count in histogram("m", api, "GRPC", micros).items()]


def test_native_edges_become_seconds_without_rounding() -> None:
    assert EDGES[0] == "1e-05"
    assert EDGES[16:21] == ("0.12144", "0.218591", "0.393464", "0.708235", "1.27482")
    assert EDGES[-2:] == ("1474.76", "+Inf")


@pytest.mark.parametrize(
    ("bound", "edge"), [(0.12144, "0.12144"), (0.12143, "0.12144"), (0.122, "0.218591"), (9999.0, "+Inf")]
)
def test_a_latency_bound_is_rounded_up_to_the_next_edge(bound: float, edge: str) -> None:
    assert slow_edge(bound) == edge


@given(st.lists(st.floats(0, 2e9, exclude_max=True)), st.floats(0.00001, 1400))
def test_slow_are_exactly_the_answers_at_or_over_the_edge(micros: list[float], bound: float) -> None:
    totals = Totals()
    totals.add(increases(micros), {"m": bound})
    edge = native.EDGES[EDGES.index(slow_edge(bound))]
    assert totals.answers[TWO] == len(micros)
    assert totals.slow[TWO] == sum(1 for each in micros if each >= float(edge))


def test_a_changed_bound_never_makes_the_slow_counter_fall() -> None:
    totals = Totals()
    totals.add(increases([200_000.0] * 5), {"m": 0.1})
    totals.add(increases([200_000.0] * 5), {"m": 1.0})
    assert totals.slow[TWO] == 5


def test_status_pages_over_rest_are_no_answers_of_a_model() -> None:
    totals = Totals()
    totals.add(increases([9e6], api=""), {"m": 0.1})
    assert totals == Totals()


def test_what_clients_invent_folds_into_other_and_nothing_is_lost() -> None:
    totals = Totals()
    invented = [Increase(Requests(f"model{n}", f"STATUS{n}"), "multiple", 1) for n in range(50)]
    totals.add([*invented, Increase(Requests("m", "OK"), "2", 3)], {"m": 0.1})
    assert totals.requests == {Owned(OTHER, "multiple"): {OTHER: 50}, TWO: {"OK": 3}}


def test_every_addition_marks_its_owner_as_changed_and_no_other() -> None:
    totals = Totals()
    totals.add([Increase(Requests("m", "OK"), "2", 3)], {"m": 0.1})
    before = totals.changes[TWO]
    totals.add(increases([1.0], owner="3"), {"m": 0.1})
    assert totals.changes[TWO] == before > 0
    totals.add(increases([1.0]), {"m": 0.1})
    assert totals.changes[TWO] > before


def test_an_edge_that_the_page_never_had_is_refused_by_the_parser() -> None:
    page = b':tensorflow:serving:request_latency_bucket{model_name="m",API="Predict",entrypoint="GRPC",le="11"} 1\n'
    assert Bucket("m", "Predict", "GRPC", "11") not in native.parse(page).counters
