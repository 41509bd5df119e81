"""The receiver is killed and started again: a part of the matrix that `bench/crash_matrix.py` runs whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fakes.crash_rows import ROWS, cells, changes
from tests.fakes.crashing import Outcome, Row, proven_journal, run
from tests.fakes.nursery import nursery

pytestmark = pytest.mark.long

Crash = Callable[[Row, Sequence[tuple[str, ...]]], list[Outcome]]


@pytest.fixture(scope="module")
def crash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crash]:
    """Runs cells side by side; most of the time they wait."""
    folder: Path = tmp_path_factory.mktemp("crashes")
    proven = proven_journal(folder / "proven")
    with nursery() as children, ThreadPoolExecutor(6) as pool:

        def all_of(row: Row, some: Sequence[tuple[str, ...]]) -> list[Outcome]:
            def one(cell: tuple[str, ...]) -> Outcome:
                place = tmp_path_factory.mktemp("cell")
                for again in range(2):  # what several threads do may come in another order once
                    outcome = run(row, cell, place / str(again), children, proven)
                    if all(outcome.crashed) or outcome.violations:
                        break
                return outcome

            return list(pool.map(one, some))

        yield all_of


def told(some: Sequence[tuple[str, ...]], outcomes: Sequence[Outcome]) -> list[str]:
    """Every cell that broke an invariant or was not run."""
    found = []
    for cell, outcome in zip(some, outcomes, strict=True):
        where = " then ".join(place.rpartition("|")[2] for place in cell)
        found += [f"{where}: {each}" for each in outcome.violations]
        found += [] if all(outcome.crashed) else [f"{where}: not reached"]
    return found


@pytest.mark.parametrize("name", sorted(ROWS))
def test_without_a_crash_there_is_one_effect_with_its_end(crash: Crash, name: str) -> None:
    [outcome] = crash(ROWS[name], [()])
    assert outcome.violations == ()
    assert [place for place in outcome.reached if place.endswith("commit of ")] == []  # each says what it is about


def test_killed_wherever_something_lies_there_anew_it_rolls_back_once(crash: Crash) -> None:
    row = ROWS["alert"]
    [whole] = crash(row, [()])
    some = [(cell,) for cell in cells(whole.reached) if changes(cell)]
    assert len(some) > 20
    assert told(some, crash(row, some)) == []


@pytest.mark.parametrize("name", sorted(set(ROWS) - {"alert"}))
def test_killed_at_some_places_of_another_way_it_comes_to_the_same_end(crash: Crash, name: str) -> None:
    row = ROWS[name]
    [whole] = crash(row, [()])
    some = [(cell,) for cell in cells(whole.reached) if changes(cell) and "hand: " in cell][1::4]
    assert told(some, crash(row, some)) == []


def test_killed_again_while_it_recovers_it_still_rolls_back_once(crash: Crash) -> None:
    row = ROWS["alert"]
    armed = "hand: after the commit of "
    way = [f"{armed}{each}" for each in ("RECEIVED>EVALUATING", "EVALUATING>PLANNED", "PLANNED>LEASED", "arming")]
    first = "|".join([*way, f"{armed}ARMED>EXECUTING", "hand: after models.config is replaced"])
    [once] = crash(row, [(first,)])
    some = [(first, then) for then in cells(once.reached) if changes(then) and "hand: " in then]
    assert len(some) > 5
    assert told(some, crash(row, some)) == []
