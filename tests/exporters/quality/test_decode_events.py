"""Predictions come as NDJSON or as a JSON array, and are taken whole or refused whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airbag_exporters.quality.columns import BadBatch, Owner
from airbag_exporters.quality.decode import JSON, NDJSON, Decoded, decode_predictions
from airbag_exporters.quality.hashing import hash_text, hash_texts
from tests.exporters.quality.decoding import NOW, event, lines, models, plain

MODELS = models()


def decoded(*events: dict[str, Any]) -> Decoded:
    return decode_predictions(lines(*events), NDJSON, MODELS, NOW)


def only(*events: dict[str, Any]) -> dict[str, Any]:
    (part,) = decoded(*events).parts
    return plain(part)


def refused(body: bytes, content_type: str = NDJSON) -> str:
    with pytest.raises(BadBatch) as caught:
        decode_predictions(body, content_type, MODELS, NOW)
    return str(caught.value)


def test_an_event_has_columns_for_what_it_gives() -> None:
    whole = event(
        "multiclass", id="a", scores=[0.25, 0.5, 0.25], latency_seconds=0.25, timestamp=1.7e9, actual="cat",
        features={"age": 40, "plan": "gold"}, segments={"region": "eu"},
    )  # fmt: skip
    batch = decoded(whole)
    assert batch.rows == 1
    assert batch.parts[0].owner == Owner("main", "multiclass", "3")
    assert plain(batch.parts[0]) == {
        "keys": [hash_text("a")], "at": [1.7e9], "predicted": ["dog"], "score": [0.5], "scores": [[0.25, 0.5, 0.25]],
        "latency": [0.25], "actual": ["cat"], "segments": {"region": ["eu"]},
        "features": {"age": [40.0], "plan": ["gold"], "spend": [None]},
    }  # fmt: skip


def test_what_an_event_leaves_out_is_no_column_and_its_time_is_now() -> None:
    assert only(event("multiclass")) == {"at": [NOW], "predicted": ["dog"]}
    assert only(event("regression", predicted=3)) == {"at": [NOW], "value": [3.0]}
    assert only(event("ranking", score=-7.5)) == {"at": [NOW], "score": [-7.5]}
    assert only(event("translation")) == {"at": [NOW], "texts": ["hello"]}


@pytest.mark.parametrize("body", [b"", b"\n\r\n  \n", b"\xef\xbb\xbf"])
def test_an_empty_batch_is_fine(body: bytes) -> None:
    assert decode_predictions(body, NDJSON, MODELS, NOW) == Decoded()
    assert decode_predictions(b" [] ", JSON, MODELS, NOW) == Decoded()


def test_blank_lines_other_line_ends_and_a_byte_order_mark_do_not_matter() -> None:
    one, two = (lines(event(id=name)).strip() for name in "ab")
    body = b"\xef\xbb\xbf" + one + b"\r\n\r\n   \n" + two
    (part,) = decode_predictions(body, NDJSON, MODELS, NOW).parts
    assert plain(part)["keys"] == hash_texts("ab").tolist()


def test_versions_are_told_apart_and_numbers_with_zeros_before_them_are_not() -> None:
    parts = decoded(*(event(id=str(version), model_version=version) for version in (3, "03", 4, "3"))).parts
    assert [(part.owner.version, len(part)) for part in parts] == [("3", 3), ("4", 1)]
    assert plain(parts[0])["keys"] == hash_texts(["3", "03", "3"]).tolist()


def test_what_is_not_configured_is_other_and_only_its_class_is_kept() -> None:
    parts = decoded(
        event(model_name="new", id="a", features={"x": 1}, score=2.0, latency_seconds=1),
        event(model_name="newer", predicted=None, model_version=9),
    ).parts
    assert {part.owner for part in parts} == {Owner("main", "other", "other")}
    assert [plain(part) for part in parts] == [
        {"at": [NOW], "predicted": [None]},
        {"at": [NOW], "keys": [hash_text("a")], "predicted": ["dog"]},
    ]


def test_events_with_and_without_id_features_and_label_are_parts_of_their_own() -> None:
    parts = decoded(event(), event(id="a"), event(features={"age": 1}), event(actual="cat"), event(id="b")).parts
    assert [sorted(plain(part)) for part in parts] == [
        ["at", "predicted"], ["at", "keys", "predicted"], ["at", "features", "predicted"],
        ["actual", "at", "predicted"],
    ]  # fmt: skip
    assert plain(parts[1])["keys"] == hash_texts("ab").tolist()


def test_features_may_stand_in_the_order_of_the_configuration() -> None:
    by_name = event(features={"age": 40, "plan": "gold", "spend": None})
    in_order = event(features=[40, "gold", None])
    assert only(in_order) == only(by_name)
    assert only(in_order, by_name, in_order)["features"] == {
        "age": [40.0] * 3, "plan": ["gold"] * 3, "spend": [None] * 3,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["back\\slash", 'quo"te', "line\nbreak", "\x00", "\x1f"], ids=ascii)
def test_a_feature_may_have_any_name(name: str) -> None:
    assert only(event(features={"age": 1, name: 2}))["features"]["age"] == [1.0]


def test_numbers_of_a_categorical_feature_are_its_categories() -> None:
    assert only(event(features={"plan": 3}), event(features={"plan": "gold"}))["features"]["plan"] == ["3", "gold"]
    assert only(event(features={"plan": 3.5}), event(features={"plan": 2}))["features"]["plan"] == ["3.5", "2"]


@pytest.mark.parametrize("place", [0, 1, 399])
def test_unknown_features_and_segments_are_left_out_and_counted_wherever_they_stand(place: int) -> None:
    events = [event(features={"age": row}) for row in range(400)]
    events[place]["features"] = {"age": place, "x": 1, "y": "text", "z": None}
    events[place]["segments"] = {"shop": "a", "none": None}
    batch = decoded(*events)
    assert batch.unknown_features == {("main", "multiclass"): 3}
    (part,) = batch.parts
    assert plain(part)["features"]["age"] == [float(row) for row in range(400)]


def test_a_binary_event_without_a_class_is_decided_by_its_score() -> None:
    events = (event("binary", predicted=None, score=0.5), event("binary", predicted=None, score=0.49), event("binary"))
    assert only(*events)["predicted"] == ["leave", "stay", "leave"]
    by_scores = only(event("binary", predicted=None, scores=[0.25, 0.75]))
    assert (by_scores["predicted"], by_scores["score"]) == (["leave"], [0.75])


def test_a_score_that_is_given_wins_over_the_probability_of_the_predicted_class() -> None:
    events = (event(scores=[0.5, 0.25, 0.25]), event(scores=[0.5, 0.25, 0.25], score=0.75), event(predicted="ox"))
    assert only(*events)["score"] == [0.25, 0.75, None]


def test_classes_that_are_numbers_have_the_name_of_the_number() -> None:
    assert only(event(predicted=3), event(predicted=4.0), event(predicted=2**60 + 1))["predicted"] == [
        "3", "4", str(2**60 + 1),
    ]  # fmt: skip
    assert only(event(predicted=3, actual=3), event(predicted="3", actual="x"))["actual"] == ["3", "x"]
    assert only(event("regression", actual=3))["actual"] == [3.0]


def test_a_json_array_is_the_same_as_lines() -> None:
    events = [event(id=str(row), features={"age": row}) for row in range(500)]
    (by_lines,), (by_array,) = (
        decode_predictions(body, content_type, MODELS, NOW).parts
        for body, content_type in ((lines(*events), NDJSON), (json.dumps(events, indent=1).encode(), JSON))
    )
    assert plain(by_lines) == plain(by_array)


GOOD = lines(event())
BAD = {
    '{"model_version": 3}': "Object missing required field `model_name`",
    "[1]": "Expected `object`, got `array`",
    "{": "Input data was truncated",
    '{"model_name": "m", "model_version": 1} {}': "JSON is malformed: trailing characters (byte 41)",
    '{"model_name": "multiclass", "model_version": 3, "colour": 1}': "Object contains unknown field `colour`",
    lines(event(id="")).decode(): "field `id`: Expected `str` of length >= 1",
    lines(event(id="x" * 257)).decode(): "field `id`: Expected `str` of length <= 256",
    lines(event(id=7)).decode(): "field `id`: Expected `str | null`, got `int`",
    lines(event(model_version=-1)).decode(): "field `model_version`: Expected `int` >= 0",
    lines(event(model_version=1 << 63)).decode(): f"field `model_version`: Expected `int` <= {(1 << 63) - 1}",
    lines(event(model_version=str(1 << 63))).decode(): (
        "field `model_version`: Expected a whole number from 0 to 2^63-1, or its digits"
    ),
    lines(event(model_version="v3")).decode(): "field `model_version`: Expected `str` matching regex '^[0-9]{1,19}$'",
    lines(event(model_version=3.5)).decode(): "field `model_version`: Expected `int | str`, got `float`",
    lines(event(serving="moon")).decode(): "field `serving`: no group is called 'moon'; known: main, edge",
    lines(event("binary", serving=None)).decode(): (
        "field `serving`: main, edge all have the model 'binary'; say which one is meant"
    ),
    lines(event("multiclass", predicted=None)).decode(): "field `predicted`: is needed for a multiclass model",
    lines(event("binary", predicted=None)).decode(): "field `predicted`: this or `score` is needed for a binary model",
    lines(event("regression", predicted=None)).decode(): "field `predicted`: is needed for a regression model",
    lines(event("regression", predicted="3")).decode(): (
        "field `predicted`: Expected a number, as this is a regression model"
    ),
    lines(event("translation", predicted=None)).decode(): "field `predicted`: is needed for a translation model",
    lines(event("ranking", score=None)).decode(): "field `score`: is needed for a ranking model",
    lines(event("ranking", actual=0.5)).decode(): "field `actual`: Expected 0 or 1, as this is a ranking model",
    lines(event("regression", actual="x")).decode(): (
        "field `actual`: Expected a finite number, as this is a regression model"
    ),
    lines(event("binary", score=1.5)).decode(): "field `score`: Expected a probability from 0 to 1",
    lines(event(score="1")).decode(): "field `score`: Expected `float | null`, got `str`",
    lines(event(scores=[0.5, 0.5])).decode(): "field `scores`: Expected 3 values, one for each class, got 2",
    lines(event(scores=[0.5, 0.5, 0.5])).decode(): "field `scores`: Expected probabilities whose sum is 1",
    lines(event(scores=[1.5, -0.5, 0])).decode(): "field `scores`: Expected probabilities from 0 to 1",
    lines(event(features=[1])).decode(): "field `features`: Expected 3 values, one for each known feature, got 1",
    lines(event(features={"age": "old"})).decode(): (
        "field `features.age`: Expected a number, as this is a numeric feature"
    ),
    lines(event(features={"new": True})).decode(): ("field `features.new`: Expected `float | str | null`, got `bool`"),
    lines(event(features={"a.b": [1]})).decode(): "field `features.a.b`: Expected `float | str | null`, got `array`",
    '{"model_name": "multiclass", "model_version": 3, "features": {"age": 1e999}}': (
        "field `features.age`: Number out of range"
    ),
    lines(event(segments={"region": [1]})).decode(): (
        "field `segments.region`: Expected `int | str | null`, got `array`"
    ),
    lines(event(segments=["eu"])).decode(): "field `segments`: Expected `object | null`, got `array`",
    lines(event(timestamp=-1)).decode(): "field `timestamp`: Expected `float` >= 0.0",
    lines(event(timestamp=NOW * 1000)).decode(): (
        "field `timestamp`: is more than a day in the future; times are seconds since the epoch"
    ),
    lines(event(latency_seconds=-1)).decode(): "field `latency_seconds`: Expected `float` >= 0.0",
    '{"model_name": ' + "[" * 500 + "]" * 500 + "}": "field `model_name`: Expected `str`, got `array`",
    '{"model_name": "m", "model_version": ' + "9" * 10_000 + "}": "field `model_version`: Integer value out of range",
}


@pytest.mark.parametrize(("bad", "text"), BAD.items(), ids=[str(number) for number in range(len(BAD))])
def test_a_refusal_says_where_and_what(bad: str, text: str) -> None:
    assert refused(GOOD + b"\n" + bad.encode()) == f"line 3, {text}"
    if not text.startswith(("Input data", "JSON is")):
        assert refused(b"[" + GOOD + b"," + bad.encode() + b"]", JSON) == f"item 2, {text}"


def test_bytes_that_are_no_utf8_are_refused_where_they_stand() -> None:
    assert refused(GOOD + b'{"model_name": "\xff", "model_version": 3}').startswith(
        "line 2, 'utf-8' codec can't decode"
    )


def test_up_to_ten_problems_are_listed() -> None:
    assert refused(lines(event(id=7), event(), event(id="")).strip()).splitlines() == [
        "line 1, field `id`: Expected `str | null`, got `int`",
        "line 3, field `id`: Expected `str` of length >= 1",
    ]
    assert len(refused(lines(*[event(id="")] * 50)).splitlines()) == 10
    assert refused(lines(*[event("binary", score=2, predicted=None)] * 50, event(score=3))).splitlines() == [
        f"line {line}, field `score`: Expected a probability from 0 to 1" for line in range(1, 11)
    ]


def test_a_problem_is_told_in_a_line_of_bounded_length() -> None:
    assert "\x1b" not in refused(lines(event(serving="\x1b[2J\n" + "x" * 10_000)))
    assert len(refused(lines(event(serving="x" * 10_000)))) < 400


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"7", "Expected `array`, got `int`"),
        (b"[" + GOOD, "Input data was truncated"),
        (b"[1,]", "JSON is malformed: trailing comma in array (byte 3)"),
        (b"[" * 100_000, "maximum recursion depth exceeded while deserializing an object"),
        (b"[" + GOOD + b"] x", f"JSON is malformed: trailing characters (byte {len(GOOD) + 4})"),
    ],
)
def test_a_body_that_is_no_array_is_refused(body: bytes, text: str) -> None:
    assert refused(body, JSON) == text


def test_two_events_in_a_line_and_an_event_over_two_lines_are_refused() -> None:
    one = GOOD.strip()
    assert "trailing characters" in refused(one + one + b"\n" + one)
    assert refused(one.replace(b",", b",\n", 1)).splitlines()[0] == "line 1, Input data was truncated"
