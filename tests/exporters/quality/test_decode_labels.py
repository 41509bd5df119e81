"""Labels come in the formats of predictions, and what was true may be a text or a number."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airbag_exporters.quality.columns import BadBatch
from airbag_exporters.quality.decode import JSON, NDJSON, decode_labels
from airbag_exporters.quality.hashing import hash_texts
from tests.exporters.quality.decoding import NOW, lines, values

COLUMNAR = {
    '{"id": ["a", "b"], "actual": [1]}': "field `actual`: has 1 rows, but `id` has 2",
    '{"id": ["a", ""], "actual": [1, 2]}': "row 2, field `id`: Expected `str` of length >= 1",
    '{"id": ["a", null], "actual": [1, 2]}': "row 2, field `id`: Expected `str`, got `null`",
    '{"id": "a", "actual": [1]}': "field `id`: Expected `array`, got `str`",
    '{"id": ["a"]}': "Object missing required field `actual`",
    '{"id": ["a"], "actual": [1], "x": 1}': "Object contains unknown field `x`",
    '{"id": ["a"], "actual": [1], "timestamp": [-1]}': "row 1, field `timestamp`: Expected `float` >= 0.0",
    '{"id": ["a"': "Input data was truncated",
}


def label(**given: Any) -> dict[str, Any]:
    return {"id": "a", "actual": "cat", **given}


@pytest.mark.parametrize(
    ("actual", "told"),
    [
        (["cat", "dog"], ["cat", "dog"]),
        ([1, 0.5], [1.0, 0.5]),
        (["cat", 3, 2.0, 2.5], ["cat", "3", "2", "2.5"]),
        ([2**60 + 1, 1], [str(2**60 + 1), "1"]),
        ([10**30], [str(10**30)]),
        ([], []),
    ],
)
def test_numbers_stay_numbers_unless_texts_or_larger_ones_are_among_them(actual: list[Any], told: list[Any]) -> None:
    given = decode_labels(lines(*(label(actual=each) for each in actual)), NDJSON, NOW)
    assert values(given.actual) == told
    assert given.keys.tolist() == hash_texts(["a"] * len(actual)).tolist()


def test_a_label_without_a_time_is_of_now() -> None:
    assert decode_labels(lines(label(timestamp=5), label()), NDJSON, NOW).at.tolist() == [5.0, NOW]


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ({"id": 1}, "field `id`: Expected `str`, got `int`"),
        ({"id": ""}, "field `id`: Expected `str` of length >= 1"),
        ({"actual": None}, "field `actual`: Expected `int | float | str`, got `null`"),
        ({"actual": True}, "field `actual`: Expected `int | float | str`, got `bool`"),
        (
            {"timestamp": NOW * 1000},
            "field `timestamp`: is more than a day in the future; times are seconds since the epoch",
        ),
        ({"note": 1}, "Object contains unknown field `note`"),
    ],
)
def test_a_refusal_says_where_and_what(bad: dict[str, Any], text: str) -> None:
    events = [label(), label(**bad)]
    for body, content_type, place in (
        (b"\n" + lines(*events), NDJSON, "line 3"),
        (json.dumps(events).encode(), JSON, "item 2"),
    ):
        with pytest.raises(BadBatch) as caught:
            decode_labels(body, content_type, NOW)
        assert str(caught.value) == f"{place}, {text}"


@pytest.mark.parametrize(("body", "text"), COLUMNAR.items())
def test_columns_that_do_not_fit_are_refused(body: str, text: str) -> None:
    with pytest.raises(BadBatch) as caught:
        decode_labels(body.encode(), JSON, NOW)
    assert str(caught.value) == text
