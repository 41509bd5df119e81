"""What the page of one action makes of what the journal holds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbag_rollback.engine.states import State
from airbag_rollback.pages import timeline, words
from airbag_rollback.records import Action

ACTION = Action(
    1, "k", "main", "digits", 3, 2, "AirbagErrorRatioHigh", State.SUCCEEDED, 9, 0.0, alert_at=100.0, received_at=101.0,
    decided_at=102.0, acted_at=106.0, available_at=107.0, recovered_at=127.0,
)  # fmt: skip


def test_the_stages_follow_each_other_and_fill_the_bar() -> None:
    stages = timeline.stages(ACTION)
    assert [(stage.name, stage.seconds) for stage in stages] == [
        ("detected", 1), ("decided", 1), ("acted", 4), ("available", 1), ("recovered", 20),
    ]  # fmt: skip
    assert timeline.spoken(stages) == ("detected 1.0 s; decided 1.0 s; acted 4.0 s; available 1.0 s; recovered 20 s")


def test_the_time_in_which_a_person_was_waited_for_is_a_stage_of_its_own() -> None:
    stages = timeline.stages(replace(ACTION, approved_at=105.0))
    assert [(stage.name, stage.seconds) for stage in stages][2:4] == [("approved", 3), ("acted", 1)]


@given(st.lists(st.none() | st.floats(0, 1e6), min_size=7, max_size=7))
def test_whatever_is_known_the_bar_is_whole_and_nothing_lies_outside(times: list[float | None]) -> None:
    names = ("alert_at", "received_at", "decided_at", "approved_at", "acted_at", "available_at", "recovered_at")
    known: dict[str, Any] = dict(zip(names, times, strict=True))
    stages = timeline.stages(replace(ACTION, **known))
    assert all(stage.width > 0 and stage.seconds >= 0 and stage.x >= 0 for stage in stages)
    if stages:
        assert stages[-1].x + stages[-1].width == pytest.approx(100, abs=0.1)


def reading(what: str, value: float | None) -> dict[str, Any]:
    outcome = "empty" if value is None else "value"
    return {"what": what, "query": f"q {what}", "asked_at": 5.0, "outcome": outcome, "value": value, "error": ""}


def test_readings_become_one_line_per_version_and_the_threshold_holds_for_all() -> None:
    evidence = (
        {"what": "target", "target": 2, "refused": [[1, "served 0 s"]]},
        reading("value of 3", 0.9), reading("threshold of 3", 0.05), reading("samples of 3", 500.0),
        reading("samples_min of 3", 20.0), reading("age of 3", 0.5),
        reading("value of 2", 0.01), reading("samples of 2", 400.0),
        reading("value of 2", None), reading("threshold of 2", 0.05), reading("good looks since the release of 3", 1.0),
    )  # fmt: skip
    action = replace(ACTION, evidence=evidence)
    lines = timeline.measured(action)
    assert [(line.version, line.found["value"], line.found["threshold"], line.verdict) for line in lines] == [
        ("3", 0.9, 0.05, "bad"), ("2", 0.01, 0.05, "good"), ("2", None, 0.05, "no data"),
    ]  # fmt: skip
    assert [each["what"] for each in timeline.also_asked(action)] == ["good looks since the release of 3"]
    assert timeline.refused(action) == [(1, "served 0 s")]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0.00 s"), (0.25, "0.25 s"), (9.94, "9.9 s"), (59.4, "59 s"), (60, "1 min"), (3725, "1 h 2 min"),
     (90_000, "1 d 1 h")],
)  # fmt: skip
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


def test_no_number_is_a_dash_and_not_zero() -> None:
    assert (words.number(None), words.number(0.0), words.number(0.123456)) == ("–", "0", "0.1235")  # noqa: RUF001 - the dash that is shown
