"""What the receiver says of pauses at each scrape."""

from __future__ import annotations

from airbag_rollback.pausing import PauseStanding, not_acting_since
from tests.fakes.rollback import Bench


def paused(desk: Bench) -> dict[str, float]:
    receiver = desk.receiver
    standing = PauseStanding(lambda: receiver.settings, receiver.journal, desk.clock)
    return {each.labels["model_name"]: each.value for family in standing.collect() for each in family.samples}


def since(desk: Bench, by_mode: float | None = None) -> float | None:
    return not_acting_since(by_mode, desk.receiver.journal, desk.clock.now())


def test_every_model_says_whether_a_pause_covers_it(desk: Bench) -> None:
    people = desk.receiver.people
    assert paused(desk) == {"digits": 0, "other": 0}
    people.pause("*", "digits", 60, "olga", "test")
    assert paused(desk) == {"digits": 1, "other": 0}
    desk.clock.time += 61
    assert paused(desk) == {"digits": 0, "other": 0}
    people.pause("*", "*", None, "olga", "test")
    assert paused(desk) == {"digits": 1, "other": 1}


def test_a_pause_of_everything_counts_as_not_acting_and_one_of_a_model_does_not(desk: Bench) -> None:
    people = desk.receiver.people
    people.pause("main", "digits", None, "olga", "test")
    assert since(desk) is None
    people.pause("*", "*", None, "olga", "test")
    began = desk.clock.now()
    desk.clock.time += 100
    assert (since(desk), since(desk, began - 50), since(desk, began + 50)) == (began, began - 50, began)
    people.resume("*", "*", "olga")
    assert since(desk) is None
