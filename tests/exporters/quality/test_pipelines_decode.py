"""Which pipeline runs are taken."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbag.errors import ConfigError
from airbag_exporters.quality.columns import BadBatch
from airbag_exporters.quality.media import JSON, NDJSON
from airbag_exporters.quality.pipelines.runs import FUTURE_MAX, Counted, Runs, decode_runs
from tests.exporters.quality.pipelines import CONFIG, NOW, configured, run

KNOWN = run()


def lines(*runs: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in runs)


def decoded(*runs: dict[str, Any]) -> Runs:
    return decode_runs(lines(*runs), NDJSON, CONFIG, NOW)


def refusal(body: bytes, content_type: str = NDJSON) -> str:
    with pytest.raises(BadBatch) as refused:
        decode_runs(body, content_type, CONFIG, NOW)
    return str(refused.value)


def test_takes_lines_and_arrays_alike() -> None:
    runs = [run(run_id="1"), run(run_id="2", task="load", rows=3, log_errors=1, synced_until=NOW - 5)]
    from_lines, from_array = decoded(*runs), decode_runs(json.dumps(runs).encode(), JSON, CONFIG, NOW)
    assert from_lines.rows == from_array.rows
    assert from_lines.keys.tolist() == from_array.keys.tolist()
    assert from_lines.rows[1] == Counted("features", "load", "success", 60.0, NOW - 10, 3, 1, NOW - 5)


def test_blank_lines_are_no_runs() -> None:
    assert len(decode_runs(b"\n" + lines(KNOWN) + b"\r\n", NDJSON, CONFIG, NOW)) == 1
    assert len(decode_runs(b"", NDJSON, CONFIG, NOW)) == 0


def test_unknown_pipelines_and_tasks_are_called_other_and_stay_apart_by_key() -> None:
    runs = decoded(run(pipeline="mine"), run(pipeline="yours"), run(task="secret"), run(pipeline="mine", task="load"))
    assert [(row.pipeline, row.task) for row in runs.rows] == [
        ("other", ""), ("other", ""), ("features", "other"), ("other", "other")
    ]  # fmt: skip
    assert len(set(runs.keys.tolist())) == 4


def test_a_run_that_stands_twice_in_a_batch_is_given_once() -> None:
    runs = decoded(run(rows=1), run(task="load"), run(rows=2))
    assert (len(runs), runs.repeated) == (2, 1)
    assert [row.rows for row in runs.rows] == [1, 0]


def test_a_key_does_not_depend_on_how_the_run_ended() -> None:
    assert decoded(run()).keys.tolist() == decoded(run(status="failure", rows=9)).keys.tolist()


@pytest.mark.parametrize(
    ("one", "other"), [({"run_id": "a", "task": "b"}, {"run_id": 'a","b'}), ({"task": None}, {"task": "null"})]
)
def test_names_that_run_together_are_different_runs(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert decoded(run(**one)).keys.tolist() != decoded(run(**other)).keys.tolist()


def test_rows_can_be_chosen() -> None:
    runs = decoded(run(run_id="1", rows=1), run(run_id="2", rows=2))
    taken = runs.take(np.array([False, True]))
    assert ([row.rows for row in taken.rows], taken.keys.tolist()) == ([2], [runs.keys[1]])


def test_a_clock_that_is_fast_makes_no_data_newer_than_now() -> None:
    (row,) = decoded(run(started_at=NOW, finished_at=NOW + 100, synced_until=NOW + 3600)).rows
    assert (row.ended, row.synced_until, row.seconds) == (NOW, NOW, 100)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"status": "ok"}, "line 2: field `status`: Invalid enum value 'ok'"),
        ({"rows": -1}, "line 2: field `rows`: Expected `int` >= 0"),
        ({"rows": 10**13}, "line 2: field `rows`: Expected `int` <= 1000000000000"),
        ({"log_errors": 1.5}, "line 2: field `log_errors`: Expected `int | null`, got `float`"),
        ({"run_id": ""}, "line 2: field `run_id`: Expected `str` of length >= 1"),
        ({"pipeline": "x" * 257}, "line 2: field `pipeline`: Expected `str` of length <= 256"),
        ({"started_at": "yesterday"}, "line 2: field `started_at`: Expected `float`, got `str`"),
        ({"started_at": -1.0}, "line 2: field `started_at`: Expected `float` >= 0.0"),
        ({"finished_at": NOW - 1000}, "line 2: field `finished_at`: is before `started_at`"),
        ({"finished_at": NOW + FUTURE_MAX + 1},
         "line 2: field `finished_at`: is more than a day in the future; times are seconds since the epoch"),
        ({"synced_until": NOW * 1000},
         "line 2: field `synced_until`: is more than a day in the future; times are seconds since the epoch"),
        ({"state": "done"}, "line 2: Object contains unknown field `state`"),
    ],
)  # fmt: skip
def test_one_wrong_run_refuses_the_batch_and_says_where(wrong: dict[str, Any], told: str) -> None:
    assert refusal(lines(KNOWN, run(**wrong), KNOWN)) == told


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'[{"pipeline": "features"}]', "item 1: Object missing required field `run_id`"),
        (json.dumps([KNOWN, run(rows="1")]).encode(), "item 2, field `rows`: Expected `int | null`, got `str`"),
        (json.dumps([KNOWN, run(finished_at=0)]).encode(), "item 2, field `finished_at`: is before `started_at`"),
        (json.dumps(KNOWN).encode(), "Expected `array`, got `object`"),
        (b"", "Input data was truncated"),
    ],
)
def test_an_array_is_refused_by_item(body: bytes, told: str) -> None:
    assert refusal(body, JSON) == told


@given(st.binary(max_size=60) | st.text('[]{}:,"\\0123eE+-.ntfu \n\t', max_size=60).map(str.encode))
def test_whatever_comes_is_taken_or_refused(noise: bytes) -> None:
    for content_type in (JSON, NDJSON):
        for body in (noise, b"[" * 2000 + noise, lines(KNOWN) + noise):
            try:
                decode_runs(body, content_type, CONFIG, NOW)
            except BadBatch as refused:
                assert str(refused)  # noqa: PT017 - either way is right


@pytest.mark.parametrize(
    "wrong", ["[{name: a}, {name: a}]", "[{name: other}]", "[{name: a, tasks: [b, b]}]", "[{name: a, tasks: [other]}]"]
)
def test_pipelines_and_tasks_need_names_of_their_own(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"the same name|called `other`"):
        configured(wrong)
