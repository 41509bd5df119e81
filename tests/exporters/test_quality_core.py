"""Decoding, joining and counting of predictions and labels."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbag.config import parse
from airbag_exporters.config import ExportersConfig
from airbag_exporters.quality.book import Book
from airbag_exporters.quality.counts import VERSIONS_MAX
from airbag_exporters.quality.events import JSON, NDJSON, BadBatch, Decoder, Label, Prediction
from airbag_exporters.quality.join import Join, Limits, Owner, Result, Waiting
from tests.fakes.clock import SetClock

GROUP = """
  - name: {name}
    targets: [{{name: t, grpc: "h:1"}}]
    models: [{{name: digits, classes: ["0", "1"]}}]
"""
CONFIG = "servings:" + GROUP.format(name="main") + "quality: {pending_max: 3, label_ttl: 10s}\n"


def config(text: str = CONFIG) -> ExportersConfig:
    return parse(text, ExportersConfig, source="exporters.yml", base=Path())


def prediction(key: str, predicted: str | int = "1", version: int | str = 3, model: str = "digits") -> Prediction:
    return Prediction(id=key, model_name=model, model_version=version, predicted=predicted)


def book() -> tuple[Book, SetClock]:
    clock = SetClock(100.0)
    return Book(config(), clock), clock


def labels_of(kept: Book) -> dict[tuple[str, str], int]:
    return {(model, result.value): count for (_, model, result), count in kept.read()[0].labels.items()}


def test_a_label_is_joined_with_its_prediction_once() -> None:
    kept, _ = book()
    kept.predict([prediction("a", 1, "03"), prediction("b", "0")])
    kept.label([Label("a", "1"), Label("a", "0"), Label("b", 1), Label("c", 1)])
    counts, pending = kept.read()
    owner = Owner("main", "digits", "3")
    assert counts.outcomes == {(owner, "1", "1", True): 1, (owner, "0", "1", False): 1}
    assert labels_of(kept) == {("digits", "joined"): 2, ("digits", "duplicate"): 1, ("other", "unmatched"): 1}
    assert pending == 0


def test_a_prediction_that_is_delivered_twice_counts_once() -> None:
    kept, _ = book()
    kept.predict([prediction("a")])
    kept.label([Label("a", "1")])
    kept.predict([prediction("a")])
    assert sum(kept.read()[0].predictions.values()) == 1


def test_what_gets_no_label_in_time_expires_and_its_label_is_unmatched() -> None:
    kept, clock = book()
    kept.predict([prediction("a")])
    clock.sleep(10)
    kept.label([Label("a", "1")])
    assert labels_of(kept) == {("digits", "expired"): 1, ("other", "unmatched"): 1}


def test_beyond_the_limit_the_oldest_make_room() -> None:
    kept, _ = book()
    kept.predict([prediction(key) for key in "abcd"])
    kept.label([Label("a", "1"), Label("d", "1")])
    assert labels_of(kept) == {("digits", "expired"): 1, ("other", "unmatched"): 1, ("digits", "joined"): 1}


def test_unknown_classes_fold_into_other_and_are_still_judged_by_their_names() -> None:
    kept, _ = book()
    kept.predict([prediction("a", "cat"), prediction("b", "cat")])
    kept.label([Label("a", "cat"), Label("b", "dog")])
    owner = Owner("main", "digits", "3")
    assert kept.read()[0].outcomes == {(owner, "other", "other", True): 1, (owner, "other", "other", False): 1}


def test_unknown_models_fold_into_other() -> None:
    kept, _ = book()
    kept.predict([prediction("a", model="cats", version=7)])
    assert list(kept.read()[0].owners) == [Owner("main", "other", "other")]


def test_versions_that_clients_invent_are_bounded() -> None:
    kept, _ = book()
    kept.predict([prediction(str(number), version=number) for number in range(3 * VERSIONS_MAX)])
    owners = list(kept.read()[0].owners)
    assert len(owners) == VERSIONS_MAX + 1
    assert owners[-1] == Owner("main", "digits", "other")


def test_a_model_that_two_groups_have_needs_its_group_named_and_nothing_is_taken() -> None:
    two = config("servings:" + GROUP.format(name="main") + GROUP.format(name="shadow"))
    kept = Book(two, SetClock(100.0))
    with pytest.raises(BadBatch, match=r"item 2, field `serving`: main, shadow all have the model 'digits'"):
        kept.predict([Prediction("a", "digits", 1, "0", serving="shadow"), prediction("b")])
    with pytest.raises(BadBatch, match=r"item 1, field `serving`: no group is called that; known: main, shadow"):
        kept.predict([Prediction("a", "digits", 1, "0", serving="mian")])
    assert kept.read()[0].predictions == {}


@given(st.lists(st.tuples(st.sampled_from("pl"), st.integers(0, 8), st.floats(0, 4)), max_size=80))
def test_every_prediction_is_joined_expired_or_waiting_and_never_two_of_these(
    events: list[tuple[str, int, float]],
) -> None:
    join, now, limits = Join(), 0.0, Limits(pending_max=4, label_ttl=6.0)
    taken, results, expired = 0, Counter[Result](), 0
    for kind, key, pause in events:
        now += pause
        expired += len(join.expire(now, limits))
        if kind == "p":
            taken += join.predict(str(key), Waiting(Owner("s", "m", "1"), "x", now))
        else:
            results[join.label(str(key))[0]] += 1
    expired += len(join.expire(now, limits))
    assert taken == results[Result.JOINED] + expired + len(join)
    assert len(join) <= limits.pending_max


GOOD_LINE = b'{"id":"a","model_name":"digits","model_version":3,"predicted":"1"}'


def test_takes_lines_and_arrays_with_text_or_numbers() -> None:
    other = b'{"id":"b","model_name":"digits","model_version":"4","predicted":0,"serving":"main","timestamp":1.5}'
    expected = [Prediction("a", "digits", 3, "1"), Prediction("b", "digits", "4", 0, "main", 1.5)]
    decoder = Decoder(Prediction)
    assert decoder.decode(GOOD_LINE + b"\n\n" + other + b"\n", NDJSON) == expected
    assert decoder.decode(b"[" + GOOD_LINE + b"," + other + b"]", JSON) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"id":1}', "line 2: field `id`: Expected `str`"),
        (GOOD_LINE.replace(b"3", b"-3"), "line 2: field `model_version`: "),
        (GOOD_LINE.replace(b"3", b'"v3"'), "line 2: field `model_version`: "),
        (GOOD_LINE.replace(b'"1"', b"true"), "line 2: field `predicted`: "),
        (GOOD_LINE.replace(b"predicted", b"prediction"), "line 2: Object contains unknown field `prediction`"),
        (b'{"id":"a"', "line 2: "),
        (b'{"id":"\xff"}', "line 2: "),
        (b"[" * 100_000, "line 2: "),
    ],
)
def test_a_wrong_line_is_named_with_its_field(line: bytes, message: str) -> None:
    with pytest.raises(BadBatch) as refused:
        Decoder(Prediction).decode(GOOD_LINE + b"\n" + line + b"\n", NDJSON)
    assert message in str(refused.value)


def test_a_wrong_item_of_an_array_is_named_with_its_field() -> None:
    with pytest.raises(BadBatch, match=r"^item 2, field `actual`: Expected `int \| str`"):
        Decoder(Label).decode(b'[{"id":"a","actual":1},{"id":"b","actual":null}]', JSON)


@given(st.binary(max_size=200), st.sampled_from([NDJSON, JSON]))
def test_any_body_is_taken_or_refused_with_a_reason(body: bytes, content_type: str) -> None:
    with suppress(BadBatch):
        Decoder(Label).decode(body, content_type)
