"""Columnar JSON: one object of lists of equal length."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airbag_exporters.quality.columns import BadBatch, Owner
from airbag_exporters.quality.decode import JSON, Decoded, decode_predictions
from tests.exporters.quality.decoding import NOW, models, plain

MODELS = models()
GOOD = {"model_name": "multiclass", "model_version": 3, "predicted": ["cat", "dog"]}


def decoded(**given: Any) -> Decoded:
    return decode_predictions(json.dumps({**GOOD, **given}).encode(), JSON, MODELS, NOW)


def test_names_are_given_once_or_for_each_row() -> None:
    parts = decoded(model_name=["multiclass", "unheard-of"], model_version=["03", 4], serving=["main", None]).parts
    assert [part.owner for part in parts] == [Owner("main", "multiclass", "3"), Owner("other", "other", "other")]


def test_a_feature_may_have_numbers_or_texts_or_both() -> None:
    (part,) = decoded(features={"age": [1, None], "plan": ["x", 2], "new": [None, 1]}).parts
    assert plain(part)["features"] == {"age": [1.0, None], "plan": ["x", "2"], "spend": [None, None]}
    assert decoded(features={"new": [None, 1]}).unknown_features == {("main", "multiclass"): 1}


def test_a_byte_order_mark_and_blanks_do_not_matter() -> None:
    assert decode_predictions(b"\xef\xbb\xbf \n" + json.dumps(GOOD).encode(), JSON, MODELS, NOW).rows == 2


@pytest.mark.parametrize("given", [{"predicted": []}, {"predicted": None}])
def test_no_rows_are_fine(given: dict[str, Any]) -> None:
    assert decoded(**given) == Decoded()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"id": ["a"]}, "field `predicted`: has 2 rows, but `id` has 1"),
        ({"features": {"age": [1]}}, "field `features.age`: has 1 rows, but `predicted` has 2"),
        ({"segments": {"region": ["eu"]}}, "field `segments.region`: has 1 rows, but `predicted` has 2"),
        ({"features": {"age": [1, True]}}, "row 2, field `features.age`: Expected `float | str | null`, got `bool`"),
        ({"features": {"age": 1}}, "field `features.age`: Expected `array`, got `int`"),
        (
            {"features": {"age": [1, "x"]}},
            "row 2, field `features.age`: Expected a number, as this is a numeric feature",
        ),
        ({"features": [1]}, "field `features`: Expected `object | null`, got `array`"),
        ({"predicted": "cat"}, "field `predicted`: Expected `array | null`, got `str`"),
        ({"predicted": ["cat", [1]]}, "row 2, field `predicted`: Expected `int | float | str | null`, got `array`"),
        ({"id": ["a", "x" * 300]}, "row 2, field `id`: Expected `str` of length <= 256"),
        ({"scores": [None, [0.5, "x", 1]]}, "row 2, field `scores`: Expected `float`, got `str`"),
        ({"scores": [None, [0.5]]}, "row 2, field `scores`: Expected 3 values, one for each class, got 1"),
        ({"model_version": [3, -3]}, "row 2, field `model_version`: Expected `int` >= 0"),
        ({"serving": ["main", "moon"]}, "row 2, field `serving`: no group is called 'moon'; known: main, edge"),
        ({"predicted": ["cat", None]}, "row 2, field `predicted`: is needed for a multiclass model"),
        ({"colour": [1, 2]}, "Object contains unknown field `colour`"),
    ],
)
def test_a_refusal_names_row_and_field(given: dict[str, Any], text: str) -> None:
    with pytest.raises(BadBatch) as caught:
        decoded(**given)
    assert str(caught.value) == text
