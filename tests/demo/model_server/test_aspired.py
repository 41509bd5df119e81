"""What the version manager decides, turn by turn, without threads or files."""

from __future__ import annotations

import pytest

from airbag_demo.model_server.aspired import Act, Action, Aspirations, Held, Hold, next_action
from airbag_demo.model_server.states import Event, State
from airbag_demo.model_server.status import Code, Status


def paths(*versions: int) -> dict[int, str]:
    return {version: f"/m/{version}" for version in versions}


def held(version: int, hold: Hold, *, aspired: bool = True, name: str = "m") -> Held:
    return Held(name, version, f"/{name}/{version}", aspired, hold)


def turn(aspirations: Aspirations, result: Hold | None = None) -> str:
    """One turn in short; an action that was chosen ends with `result`, else as it should."""
    events, action = aspirations.tick()
    said = [f"{event.version} {event.state.name}" for event in events]
    if action is not None:
        said.append(f"{action.act.value} {action.held.version}")
        action.held.hold = result or (Hold.READY if action.act is Act.LOAD else Hold.DISABLED)
    return ", ".join(said)


def until_quiet(aspirations: Aspirations) -> list[str]:
    turns = []
    while said := turn(aspirations):
        turns.append(said)
    return turns


def serving(*versions: int) -> Aspirations:
    aspirations = Aspirations()
    aspirations.ask("m", paths(*versions))
    until_quiet(aspirations)
    return aspirations


def test_a_new_version_is_loaded_before_the_old_one_goes() -> None:
    aspirations = serving(2)
    aspirations.ask("m", paths(3))
    assert until_quiet(aspirations) == ["3 START, load 3", "unload 2"]


def test_going_back_loads_the_older_version_before_the_newer_goes() -> None:
    aspirations = serving(3)
    aspirations.ask("m", paths(2))
    assert until_quiet(aspirations) == ["2 START, load 2", "unload 3"]


def test_the_highest_number_is_loaded_first_and_one_action_is_taken_per_turn() -> None:
    aspirations = Aspirations()
    aspirations.ask("m", paths(1, 3, 2))
    assert until_quiet(aspirations) == ["1 START, 2 START, 3 START, load 3", "load 2", "load 1"]


def test_unloads_come_before_loads_of_any_model() -> None:
    gone, new = held(9, Hold.READY, aspired=False, name="a"), held(1, Hold.NEW, name="b")
    assert next_action([new, gone]) == Action(Act.UNLOAD, gone)


def test_among_loads_of_several_models_the_highest_number_comes_first() -> None:
    low, high = held(1, Hold.NEW, name="a"), held(7, Hold.NEW, name="b")
    assert next_action([low, high]) == Action(Act.LOAD, high)


def test_an_empty_request_unloads_everything() -> None:
    aspirations = serving(1, 2)
    aspirations.ask("m", {})
    assert until_quiet(aspirations) == ["unload 1", "unload 2"]
    assert aspirations.of("m") == []


def test_an_unwanted_version_stays_while_the_wanted_one_has_failed() -> None:
    aspirations = serving(2)
    aspirations.ask("m", paths(3))
    assert turn(aspirations, Hold.ERROR) == "3 START, load 3"
    assert until_quiet(aspirations) == []
    assert [one.version for one in aspirations.ready()] == [2]


def test_two_unwanted_versions_do_not_both_wait_for_the_wanted_one() -> None:
    """A push on top of a push: the good version is unloaded before the newest loads."""
    old, middle, newest = held(3, Hold.READY, aspired=False), held(4, Hold.READY, aspired=False), held(5, Hold.NEW)
    assert next_action([old, middle, newest]) == Action(Act.UNLOAD, old)


def test_a_version_that_is_still_held_cannot_be_asked_for_again_until_it_is_gone() -> None:
    """2 serves, 3 is loading, the way back to 2 is asked for: 3 goes live, 2 goes, comes back, and 3 goes."""
    aspirations = serving(2)
    aspirations.ask("m", paths(3))
    assert turn(aspirations, Hold.LOADING) == "3 START, load 3"
    aspirations.ask("m", paths(2))
    assert turn(aspirations) == ""
    three = next(one for one in aspirations.of("m") if one.version == 3)
    assert not three.cancelled
    three.hold = Hold.READY
    assert until_quiet(aspirations) == ["unload 2", "2 START, load 2", "unload 3"]


def test_a_load_that_nobody_wants_any_more_is_cancelled_when_the_good_version_stayed_wanted() -> None:
    aspirations = serving(2)
    aspirations.ask("m", paths(2, 3))
    assert turn(aspirations, Hold.LOADING) == "3 START, load 3"
    aspirations.ask("m", paths(2))
    assert turn(aspirations) == ""
    assert [one.cancelled for one in aspirations.of("m")] == [False, True]


def test_a_failed_version_is_not_tried_again_although_it_was_taken_away_and_put_back() -> None:
    aspirations = serving(2)
    aspirations.ask("m", paths(3))
    turn(aspirations, Hold.ERROR)
    for wanted in (paths(2), paths(3), paths(2, 3), paths(2)):
        aspirations.ask("m", wanted)
        assert until_quiet(aspirations) == []


def test_a_failed_version_is_tried_again_when_the_good_one_stayed_wanted_beside_it() -> None:
    aspirations = serving(2)
    aspirations.ask("m", paths(2, 3))
    turn(aspirations, Hold.ERROR)
    aspirations.ask("m", paths(2))
    assert until_quiet(aspirations) == []
    aspirations.ask("m", paths(2, 3))
    assert until_quiet(aspirations)[-1] == "3 START, load 3"


def test_a_new_number_helps_after_a_failure() -> None:
    aspirations = serving(2)
    aspirations.ask("m", paths(3))
    turn(aspirations, Hold.ERROR)
    aspirations.ask("m", paths(4))
    assert until_quiet(aspirations) == ["4 START, load 4", "unload 2"]


def test_a_version_that_never_started_to_load_ends_without_an_error() -> None:
    aspirations = serving(2)
    aspirations.ask("m", paths(2, 3, 4))
    assert turn(aspirations, Hold.LOADING) == "3 START, 4 START, load 4"
    three = next(one for one in aspirations.of("m") if one.version == 3)
    three.aspired = False
    events, _ = aspirations.tick()
    assert events == [Event("m", 3, State.END)]


def test_a_later_request_replaces_one_that_waits() -> None:
    aspirations = serving(2)
    aspirations.ask("m", paths(3))
    turn(aspirations, Hold.LOADING)
    aspirations.ask("m", paths(2))
    aspirations.ask("m", paths(3))
    turn(aspirations)
    next(one for one in aspirations.of("m") if one.version == 3).hold = Hold.READY
    assert until_quiet(aspirations) == ["unload 2"]


@pytest.mark.parametrize(
    ("status", "text"), [(Status(), "OK"), (Status(Code.NOT_FOUND, "no such thing"), "NOT_FOUND: no such thing")]
)
def test_a_status_reads_as_in_the_real_servers_log(status: Status, text: str) -> None:
    assert str(status) == text
