"""When the models of a reload are decided, and how they stood then."""

from __future__ import annotations

import threading

from airbag_demo.model_server.states import Decision, Event, State


def test_what_follows_the_deciding_event_changes_nothing_even_before_anyone_waits() -> None:
    decision = Decision({"m"})
    for state in (State.UNLOADING, State.END, State.START, State.LOADING, State.AVAILABLE):
        decision.hear(Event("m", 2, state))
    assert decision.wait() == [Event("m", 2, State.END)]


def test_models_are_decided_as_they_stand_when_the_last_of_them_is() -> None:
    decision = Decision({"n", "m"})
    for event in (Event("m", 1, State.END), Event("m", 1, State.AVAILABLE), Event("n", 4, State.LOADING)):
        decision.hear(event)
    waiting = threading.Thread(target=decision.wait, daemon=True)
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive(), "n is not decided"
    decision.hear(Event("n", 3, State.END))
    decision.hear(Event("n", 4, State.AVAILABLE))
    assert decision.wait() == [Event("m", 1, State.AVAILABLE), Event("n", 3, State.END)]


def test_of_several_decided_versions_the_highest_counts() -> None:
    decision = Decision({"m", "n"})
    for event in (Event("m", 3, State.END), Event("m", 2, State.AVAILABLE), Event("n", 1, State.AVAILABLE)):
        decision.hear(event)
    assert decision.wait() == [Event("m", 3, State.END), Event("n", 1, State.AVAILABLE)]


def test_without_new_models_there_is_nothing_to_wait_for() -> None:
    assert Decision(()).wait() == []
