"""Steps of several models side by side: who waits for whom, and when the worker has to look again at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from airbag_rollback.engine.states import State
from airbag_rollback.hands import Hands
from airbag_rollback.records import Action
from tests.fakes.wait import until


class Steps:
    """Steps that say that nothing moved; those of the model `slow` last until they are let go."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.wakes: list[int] = []
        self.go = threading.Event()

    def step(self, action: Action) -> bool:
        self.begun.append(action.id)
        if action.model_name == "slow":
            self.go.wait(30)
        return False


@pytest.fixture
def steps() -> Iterator[Steps]:
    found = Steps()
    yield found
    found.go.set()


@pytest.fixture
def hands(steps: Steps) -> Iterator[Hands]:
    found = Hands(steps.step, lambda: steps.wakes.append(1))
    yield found
    steps.go.set()
    found.close()


def action(number: int, model: str) -> Action:
    return Action(number, f"k{number}", "main", model, 3, 1, "AirbagErrorRatioHigh", State.BLOCKED, 1, 0.0)


def test_a_step_that_ends_within_its_turn_asks_for_no_further_turn(hands: Hands, steps: Steps) -> None:
    """Else an action that waits for a person would keep a processor busy for as long."""
    assert hands.turn([action(1, "quick")], 30) is False
    assert steps.begun == [1]
    assert steps.wakes == []


def test_a_step_that_ends_later_asks_for_one_turn(hands: Hands, steps: Steps) -> None:
    slow = action(1, "slow")
    for _ in range(3):
        hands.turn([slow], 0.01)
    assert steps.begun == [1], "a second step of the same model was begun"
    steps.go.set()
    until(lambda: steps.wakes, what="the call for a turn")
    hands.rest()
    assert steps.wakes == [1]


def test_a_slow_model_holds_up_no_other(hands: Hands, steps: Steps) -> None:
    both = [action(1, "slow"), action(2, "quick")]
    until(lambda: hands.turn(both, 0.01) or steps.begun.count(2) > 1, what="two steps of the quick one")
    assert steps.begun.count(1) == 1
