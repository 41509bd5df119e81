"""Looking at many things at once for a page that has no time."""

from __future__ import annotations

import threading

import pytest

from airbag_rollback.pages.seen import Seen
from tests.fakes.clock import SetClock


def test_what_takes_too_long_is_left_out_and_not_asked_again_meanwhile() -> None:
    asked: list[str] = []
    go = threading.Event()

    def look(key: str) -> str:
        asked.append(key)
        if key == "slow":
            go.wait(30)
        return key.upper()

    seen = Seen(look, SetClock(), patience=0.2)
    assert seen.all(["quick", "slow"]) == {"quick": "QUICK", "slow": None}
    assert seen.all(["slow"]) == {"slow": None}
    go.set()
    assert Seen(look, SetClock(), patience=30).all(["slow"]) == {"slow": "SLOW"}
    assert asked.count("slow") == 2


def test_one_look_does_for_everybody_for_a_moment() -> None:
    asked: list[str] = []
    clock = SetClock()
    seen = Seen(asked.append, clock)
    for _ in range(3):
        seen.all(["a"])
    assert asked == ["a"]
    seen.all(["a"], anew=True)
    assert asked == ["a", "a"]
    clock.time += 2
    seen.all(["a"])
    assert asked == ["a", "a", "a"]


def test_what_goes_wrong_is_not_swallowed() -> None:
    def look(key: str) -> None:
        raise ValueError(key)

    with pytest.raises(ValueError, match="a"):
        Seen(look, SetClock()).all(["a"])
