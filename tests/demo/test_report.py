"""What the demo concludes from what was seen."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from airbag_demo.observations import Answer, Outcome
from airbag_demo.report import Action, Ending, Story, report, write

ROWS = 10
DONE = Action("SUCCEEDED", "", "", alert_at=104, received_at=104.1, decided_at=104.2, armed_at=104.3, acted_at=104.4,
              available_at=107)  # fmt: skip


def answer(row: int, at: float, version: int | None, outcome: Outcome = Outcome.GOOD) -> Answer:
    return Answer(row % ROWS, at, at + 0.01, outcome, version, outcome in (Outcome.GOOD, Outcome.SLOW))


def round_of(begun: float, version: int, outcome: Outcome = Outcome.GOOD) -> list[Answer]:
    """One answer for each row, every tenth of a second; row 0 is one that the model never gets right."""
    rows = [answer(row, begun + row / 10, version, outcome) for row in range(ROWS)]
    wrong = dataclasses.replace(rows[0], outcome=Outcome.WRONG, right=False)
    return [wrong, *rows[1:]]


def story(fault: str = "accuracy", bad: Outcome = Outcome.WRONG) -> Story:
    answers = [*round_of(95, 2), *round_of(101, 3, bad), *round_of(105, 2), *round_of(107.5, 2)]
    return Story(fault, 2, 3, 100.0, answers, DONE, Ending(2, [2], people_told=True))


def test_a_recovery_is_measured_from_the_first_bad_to_the_first_good_answer() -> None:
    found = report(story())
    assert found.first_bad_at == pytest.approx(101.01)
    assert found.first_good_at == pytest.approx(105.11)  # row 0 is wrong also for the good version
    assert found.recovered_seconds == pytest.approx(4.1)
    assert found.outcome == "recovered"
    assert found.passed


def test_accuracies_are_taken_before_during_and_after() -> None:
    found = report(story())
    assert (found.accuracy_before, found.accuracy_bad, found.accuracy_after) == (0.9, 0.0, 0.9)


def test_slow_answers_are_bad_but_right() -> None:
    found = report(story("latency", Outcome.SLOW))
    assert found.first_bad_at == pytest.approx(101.01)
    assert found.accuracy_bad == pytest.approx(0.9)


def test_an_error_carries_no_version_and_still_starts_the_clock() -> None:
    base = story("errors")
    errors = [answer(row, 102 + row / 10, None, Outcome.ERROR) for row in range(ROWS)]
    answers = [a for a in base.answers if a.version != 3] + errors
    found = report(dataclasses.replace(base, answers=answers))
    assert found.first_bad_at == pytest.approx(102.01)
    assert found.accuracy_bad == 0.0


def test_a_version_that_never_loads_is_measured_from_release_to_verified_configuration() -> None:
    base = story("load")
    found = report(dataclasses.replace(base, answers=[a for a in base.answers if a.version == 2]))
    assert (found.first_bad_at, found.first_good_at, found.recovered_seconds) == (100.0, 107, 7.0)
    assert found.accuracy_bad is None
    assert found.outcome == "recovered"


def test_requests_lost_count_from_the_moment_the_rollback_touches_the_server() -> None:
    base = story()
    before = answer(1, 104.0, None, Outcome.LOST)
    during = answer(1, 104.35, None, Outcome.LOST)
    found = report(dataclasses.replace(base, answers=[*base.answers, before, during]))
    assert found.requests_lost == 1
    assert found.outcome == "1 requests were lost"


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"action": dataclasses.replace(DONE, state="NEEDS_HUMAN", text="no target")}, "NEEDS_HUMAN: no target"),
        ({"ending": Ending(3, [2], people_told=True)}, "version 3 serves, not 2"),
        ({"ending": Ending(2, [2, 3], people_told=True)}, "still names version 3"),
        ({"ending": Ending(2, [2], people_told=False)}, "nobody was told"),
        ({"answers": [*round_of(95, 2), *round_of(101, 3, Outcome.WRONG)]}, "no good answer was seen again"),
    ],
)
def test_every_broken_promise_is_named_and_fails_the_run(change: dict[str, object], outcome: str) -> None:
    found = report(dataclasses.replace(story(), **change))  # type: ignore[arg-type]  # one field of any type
    assert outcome in found.outcome
    assert not found.passed


def test_a_lower_accuracy_afterwards_fails_the_run() -> None:
    base = story()
    answers = [dataclasses.replace(a, right=False) if a.sent_at > 105.15 and a.row == 5 else a for a in base.answers]
    assert "accuracy was 0.9 and is now 0.8" in report(dataclasses.replace(base, answers=answers)).outcome


def test_the_file_holds_one_object_a_fault_with_the_promised_keys(tmp_path: Path) -> None:
    write([report(story())], tmp_path / "out.json")
    [found] = json.loads((tmp_path / "out.json").read_text())
    assert list(found) == [
        "fault", "from_version", "to_version", "first_bad_at", "alert_at", "received_at", "decided_at", "acted_at",
        "available_at", "first_good_at", "recovered_seconds", "requests_total", "requests_lost", "accuracy_before",
        "accuracy_bad", "accuracy_after", "outcome",
    ]  # fmt: skip
