"""When a version is asked its golden requests."""

from __future__ import annotations

import math

import pytest

from airbag_exporters.serving.golden.ask import Outcome, Result
from airbag_exporters.serving.golden.due import Standing, due_at
from airbag_exporters.serving.golden.life import Life


@pytest.mark.parametrize(
    ("standing", "due"),
    [
        (Standing(), -math.inf),
        (Standing(asked_at=990.0), 1050.0),
        (Standing(asked_at=990.0, default_since=900.0), 1050.0),
        (Standing(asked_at=990.0, default_since=941.0), 995.0),
        (Standing(asked_at=990.0, default_since=991.0), -math.inf),
        (Standing(asked_at=990.0, default_since=900.0, wrong=True), 995.0),
        (Standing(asked_at=990.0, wrong=True), 1050.0),
        (Standing(asked_at=990.0, unanswered=True), 995.0),
    ],
)
def test_a_version_is_asked_at_once_then_often_while_it_matters_then_on_its_interval(
    standing: Standing, due: float
) -> None:
    assert due_at(standing, 60.0, 1000.0) == due


def test_an_interval_below_the_eager_one_is_kept() -> None:
    assert due_at(Standing(asked_at=990.0, default_since=900.0, wrong=True), 1.0, 1000.0) == 991.0


def _result(outcome: Outcome, at: float, code: str = "") -> Result:
    return Result(outcome, 0.1, at, "" if outcome is Outcome.RIGHT else "why", code)


def test_a_request_that_fails_fails_since_its_first_wrong_answer() -> None:
    life = Life()
    life.take("p", _result(Outcome.WRONG, 10.0))
    life.take("p", _result(Outcome.WRONG, 15.0))
    assert (life.verdicts["p"].since, life.verdicts["p"].at) == (10.0, 15.0)
    assert list(life.failing) == ["p"]
    life.take("p", _result(Outcome.RIGHT, 20.0))
    assert not life.failing
    life.take("p", _result(Outcome.WRONG, 25.0))
    assert life.verdicts["p"].since == 25.0


def test_what_got_no_answer_says_nothing_and_leaves_the_last_verdict() -> None:
    life = Life()
    for _ in range(10):
        assert life.take("p", _result(Outcome.UNANSWERED, 1.0, "UNAVAILABLE")) is None
    assert not life.verdicts
    life.take("p", _result(Outcome.RIGHT, 2.0))
    life.take("p", _result(Outcome.UNANSWERED, 3.0, "RESOURCE_EXHAUSTED"))
    assert life.verdicts["p"].at == 2.0


def test_three_deadlines_in_a_row_are_a_failure_and_two_are_none() -> None:
    life = Life()
    late = _result(Outcome.UNANSWERED, 1.0, "DEADLINE_EXCEEDED")
    assert [life.take("p", late), life.take("p", late)] == [None, None]
    life.take("p", _result(Outcome.UNANSWERED, 2.0, "UNAVAILABLE"))
    assert [life.take("p", late), life.take("p", late)] == [None, None]
    assert life.take("p", late) is not None
    assert list(life.failing) == ["p"]
