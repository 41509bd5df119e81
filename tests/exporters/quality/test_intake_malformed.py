"""Ten thousand malformed batches: each is refused with a reason, none of them leaves a trace."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airbag_exporters.quality.columns import BadBatch
from airbag_exporters.quality.intake import Kind
from tests.exporters.quality.counting_taker import CountingTaker
from tests.exporters.quality.intake_server import ARROW, JSON, NDJSON, served
from tests.exporters.quality.malformed import (
    NESTED,
    ROWS,
    Batch,
    damaged,
    one_wrong_event,
    seeded,
    valid,
    wrong_columns,
    wrong_table,
)  # fmt: skip

FORMS = [
    (kind, form)
    for kind in Kind
    for form in ("ndjson", "array", "columns", "arrow")
    if kind is not Kind.PIPELINE_RUNS or form in ("ndjson", "array")
]
COLUMNAR = (Kind.PREDICTIONS, Kind.LABELS)


def is_refused(taker: CountingTaker, batch: Batch) -> bool:
    """Whether it is refused; then with a reason, and with nothing changed."""
    before = taker.state()
    try:
        rows = taker.take(*_arguments(batch))
    except BadBatch as error:
        reason = str(error)
    else:
        assert 0 <= rows <= 4 * ROWS
        return False
    assert reason.strip(), "no reason"
    assert taker.state() == before, "something of a refused batch was taken"
    return True


def _arguments(batch: Batch) -> tuple[Kind, bytes, str]:
    return batch.kind, batch.body, batch.content_type


@pytest.mark.parametrize(("kind", "form"), FORMS)
def test_valid_batches_are_taken_whole(kind: Kind, form: str) -> None:
    """Or else nothing below would mean anything."""
    taker, rng = CountingTaker(), seeded(0)
    before = taker.state()
    for _ in range(10):
        assert taker.take(*_arguments(valid(kind, form, rng))) == ROWS
    assert taker.state() != before


def all_refused(taker: CountingTaker, make: Callable[[], Batch], count: int) -> None:
    for _ in range(count):
        batch = make()
        assert is_refused(taker, batch), f"taken: {batch.body[:3000]!r}"


@pytest.mark.parametrize(("kind", "form"), [each for each in FORMS if each[1] in ("ndjson", "array")])
def test_one_wrong_event_spoils_its_batch(kind: Kind, form: str) -> None:
    taker, rng = CountingTaker(), seeded(1)
    all_refused(taker, lambda: one_wrong_event(kind, form, rng), 600)


@pytest.mark.parametrize("kind", COLUMNAR)
def test_one_wrong_column_spoils_its_batch(kind: Kind) -> None:
    taker, rng = CountingTaker(), seeded(2)
    all_refused(taker, lambda: wrong_columns(kind, rng), 600)


@pytest.mark.parametrize("kind", COLUMNAR)
def test_one_wrong_column_of_a_table_spoils_its_batch(kind: Kind) -> None:
    taker, rng = CountingTaker(), seeded(3)
    all_refused(taker, lambda: wrong_table(kind, rng), 300)


@pytest.mark.parametrize(("kind", "form"), FORMS)
def test_damaged_bytes_are_refused_or_make_another_valid_batch(kind: Kind, form: str) -> None:
    taker, rng = CountingTaker(), seeded(4)
    refused = tried = 0
    while refused < 460:
        tried += 1
        refused += is_refused(taker, damaged(valid(kind, form, rng), rng))
    assert tried < 2 * refused


@pytest.mark.parametrize("kind", Kind)
def test_a_batch_in_the_wrong_format_or_of_the_wrong_kind_is_refused(kind: Kind) -> None:
    taker, rng = CountingTaker(), seeded(5)
    types = (NDJSON, JSON) if kind is Kind.PIPELINE_RUNS else (NDJSON, JSON, ARROW)
    for other, form in FORMS * 3:
        batch = valid(other, form, rng)
        for content_type in types:
            if other is not kind or content_type != batch.content_type:
                assert is_refused(taker, Batch(kind, content_type, batch.body))


def test_bytes_that_are_deep_long_or_nothing_are_refused() -> None:
    taker = CountingTaker()
    for batch in NESTED:
        assert is_refused(taker, batch), f"taken: {batch.body[:100]!r}"


def test_over_http_every_one_is_told_what_is_wrong() -> None:
    taker, rng = CountingTaker(), seeded(6)
    batches = [
        one_wrong_event(kind, form, rng) for kind, form in FORMS if form in ("ndjson", "array") for _ in range(30)
    ]
    batches += [wrong_columns(kind, rng) for kind in COLUMNAR for _ in range(30)]
    batches += [wrong_table(kind, rng) for kind in COLUMNAR for _ in range(30)]
    batches += NESTED
    before = taker.state()
    with served(taker) as at:
        for batch in batches:
            answer = at.post(f"/v1/{batch.kind}", batch.body, batch.content_type)
            assert answer.status_code == 400, answer.text
            assert answer.json()["error"].startswith("nothing was taken: ")
            assert answer.json()["problems"]
        assert at.refused("batch") == len(batches) == at.value(
            "airbag_quality_batches_total", source="http", outcome="refused"
        )  # fmt: skip
    assert taker.state() == before
