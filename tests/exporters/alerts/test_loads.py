"""When a failed load is certain enough to tell Alertmanager."""

from __future__ import annotations

import pytest

from airbag.serving.model_config import Kind, Policy
from airbag.serving.values import State, VersionStatus
from airbag_exporters.serving.alerts.loads import Loads, next_loads
from airbag_exporters.serving.target_state import TargetState
from airbag_exporters.serving.wanted import FileModel

FAILED = VersionStatus(3, State.END, "NOT_FOUND", "no saved_model.pb")


def told(*polls: VersionStatus | None, wanted: bool = True) -> list[list[int]]:
    """The failures that are told after each poll, of which each shows version 3 like that, or nothing of it."""
    file = {"m": FileModel(Policy(Kind.SPECIFIC, versions=(2, 3) if wanted else (2,)), "/m", ())}
    loads, found = Loads(), []
    for at, status in enumerate(polls):
        state = TargetState(polled_at=float(at), versions={"m": (status,) if status else ()}, last_defaults={"m": 2})
        loads = next_loads(loads, state, file)
        found.append([version for _, version in loads.failed])
    return found


@pytest.mark.parametrize("coming", [State.START, State.LOADING])
def test_a_load_that_fails_before_our_eyes_is_told_at_once(coming: State) -> None:
    assert told(VersionStatus(3, coming), FAILED) == [[], [3]]


def test_a_failure_that_was_there_before_is_told_when_it_stays() -> None:
    """After a reload a version may for a moment still show the failure of an earlier life."""
    assert told(FAILED, FAILED) == [[], [3]]
    assert told(None, FAILED, VersionStatus(3, State.LOADING), VersionStatus(3, State.AVAILABLE)) == [[], [], [], []]


def test_a_failure_is_over_when_the_version_is_tried_again_or_no_longer_wanted() -> None:
    assert told(FAILED, FAILED, VersionStatus(3, State.LOADING)) == [[], [3], []]
    assert told(FAILED, FAILED, FAILED, wanted=False) == [[], [], []]


def test_a_version_that_ended_well_has_not_failed() -> None:
    assert told(VersionStatus(3, State.AVAILABLE), VersionStatus(3, State.END), VersionStatus(3, State.END)) == [[]] * 3


def test_only_a_version_that_has_ended_has_failed() -> None:
    assert told(*[VersionStatus(3, State.LOADING, "INTERNAL")] * 3) == [[]] * 3


def test_a_failure_keeps_the_time_of_the_poll_that_told_it_first() -> None:
    file = {"m": FileModel(Policy(Kind.SPECIFIC, versions=(3,)), "/m", ())}
    loads = Loads()
    for at in (10.0, 11.0, 12.0):
        loads = next_loads(loads, TargetState(polled_at=at, versions={"m": (FAILED,)}), file)
    assert loads.failed["m", 3] == (FAILED, 11.0)


def test_without_a_models_config_whatever_is_newer_than_what_serves_is_wanted() -> None:
    state = TargetState(polled_at=1.0, versions={"m": (FAILED,)}, last_defaults={"m": 2})
    assert next_loads(next_loads(Loads(), state, {}), state, {}).failed
    older = TargetState(polled_at=1.0, versions={"m": (FAILED,)}, last_defaults={"m": 4})
    assert not next_loads(next_loads(Loads(), older, {}), older, {}).failed
