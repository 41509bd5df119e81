"""How long a version stays on the page."""

from __future__ import annotations

from collections import Counter

import pytest

from airbag.serving.groups import ModelEntry
from airbag.serving.model_config import Policy
from airbag.serving.values import State, VersionStatus
from airbag_exporters.serving.shown import ENDED_KEPT, ENDED_KEPT_FOR, WANTED_KEPT, Shown
from airbag_exporters.serving.target_state import TargetState
from airbag_exporters.serving.totals import Owned, Totals
from airbag_exporters.serving.wanted import FileModel
from tests.fakes.clock import SetClock

MODEL = ModelEntry(name="m")


def state(ended: range = range(0), **versions: State) -> TargetState:
    """`state(range(1, 9), v9=AVAILABLE)`; 0 serves, so that everything above is wanted, unless 9 does."""
    found = [VersionStatus(int(name[1:]), each) for name, each in versions.items()]
    found += [VersionStatus(number, State.END) for number in ended]
    return TargetState(versions={"m": tuple(found)}, last_defaults={"m": max(int(name[1:]) for name in versions)})


def owners(shown: Shown, seen: TargetState, policy: Policy | None = None, model: ModelEntry = MODEL) -> list[str]:
    file = {"m": FileModel(policy, "/m", ())} if policy else {}
    ((_, found),) = shown.models([model], seen, file, Totals())
    return found


def test_versions_that_are_not_at_their_end_and_the_newest_of_the_others_are_shown() -> None:
    seen = state(range(1, 90), v90=State.AVAILABLE, v91=State.LOADING)
    seen = TargetState(versions=seen.versions, last_defaults={"m": 90})
    assert owners(Shown(SetClock(0.0)), seen) == ["87", "88", "89", "90", "91", "switching"]
    assert ENDED_KEPT == 3


def test_a_version_that_was_seen_alive_stays_for_an_hour_after_its_end() -> None:
    clock = SetClock(0.0)
    shown = Shown(clock)
    owners(shown, state(v1=State.AVAILABLE))
    ended = state(range(1, 20), v20=State.AVAILABLE)
    clock.sleep(ENDED_KEPT_FOR - 1)
    assert "1" in owners(shown, ended)
    clock.sleep(1)
    assert "1" not in owners(shown, ended)


def test_what_the_file_names_is_shown_also_when_no_server_has_heard_of_it() -> None:
    seen = state(range(1, 20), v20=State.AVAILABLE)
    assert owners(Shown(SetClock(0.0)), seen, Policy.specific(2, 21)) == [
        "2",
        "17",
        "18",
        "19",
        "20",
        "21",
        "switching",
    ]


def test_what_is_wanted_at_its_end_is_bounded_too() -> None:
    seen = TargetState(versions=state(range(1, 100), v100=State.END).versions)
    assert len(owners(Shown(SetClock(0.0)), seen)) == WANTED_KEPT + 1


@pytest.mark.parametrize("routing", ["labels", "versions"])
def test_clients_who_choose_give_several_a_place_from_the_start(routing: str) -> None:
    model = ModelEntry.model_validate({"name": "m", "routing": routing})
    assert owners(Shown(SetClock(0.0)), state(v1=State.AVAILABLE), model=model) == ["1", "switching", "multiple"]


def test_what_was_counted_for_several_stays_when_the_routing_changes() -> None:
    totals = Totals(requests={Owned("m", "multiple"): Counter(OK=3)})
    ((_, found),) = Shown(SetClock(0.0)).models([MODEL], state(v1=State.AVAILABLE), {}, totals)
    assert found == ["1", "switching", "multiple"]
