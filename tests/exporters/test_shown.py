"""How long a version stays on the page."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from airbag.serving.groups import ModelEntry
from airbag.serving.model_config import Policy
from airbag.serving.values import State, VersionStatus
from airbag_exporters.serving.page import ModelFacts
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
    ((_, found),) = shown.models([model], seen, file, Totals(), listed={"m"})
    return found


def facts(shown: Shown, seen: TargetState, model: ModelEntry = MODEL, listed: tuple[str, ...] = ("m",)) -> ModelFacts:
    ((found, _),) = shown.models([model], seen, {}, Totals(), listed)
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
    ((_, found),) = Shown(SetClock(0.0)).models([MODEL], state(v1=State.AVAILABLE), {}, totals, listed={"m"})
    assert found == ["1", "switching", "multiple"]


def test_a_load_lasts_from_start_to_its_end_also_through_polls_that_fail() -> None:
    clock = SetClock(100.0)
    shown = Shown(clock)
    assert facts(shown, state(v1=State.AVAILABLE, v2=State.START)).loading == ((2, 100.0),)
    clock.sleep(30)
    assert facts(shown, TargetState()).loading == ()
    clock.sleep(30)
    assert facts(shown, state(v1=State.AVAILABLE, v2=State.LOADING)).loading == ((2, 100.0),)
    assert facts(shown, state(v1=State.AVAILABLE, v2=State.AVAILABLE)).loading == ()
    assert facts(shown, state(v1=State.AVAILABLE, v2=State.LOADING)).loading == ((2, 160.0),)


def test_a_model_that_should_serve_and_does_not_counts_0_and_one_that_could_not_be_read_is_absent() -> None:
    shown = Shown(SetClock(0.0))
    assert facts(shown, state(v1=State.AVAILABLE, v2=State.AVAILABLE, v3=State.LOADING)).available == 2
    assert facts(shown, state(v1=State.UNLOADING)).available == 0
    assert facts(shown, TargetState(versions={"m": ()})).available == 0  # the server never heard of it
    assert facts(shown, TargetState()).available is None


def test_a_model_that_only_clients_named_may_leave_without_a_word() -> None:
    assert facts(Shown(SetClock(0.0)), state(v1=State.END), listed=()).available is None


def test_a_label_counts_only_where_its_version_serves_and_is_absent_where_nobody_could_look() -> None:
    model = ModelEntry(name="m", labels=("stable", "canary", "nowhere", "unread"))
    labels = {("m", "stable"): 1, ("m", "canary"): 2, ("m", "nowhere"): None}
    seen = replace(state(v1=State.AVAILABLE, v2=State.UNLOADING), labels=labels)
    found = facts(Shown(SetClock(0.0)), seen, model)
    assert found.label_available == (("stable", True), ("canary", False), ("nowhere", False))
    assert found.label_versions == (("stable", 1), ("canary", 2))
    assert facts(Shown(SetClock(0.0)), replace(seen, versions={}), model).label_available == ()
