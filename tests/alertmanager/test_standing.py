"""What the receiver says about itself at each scrape: who waits for a person, and since when it may not act."""

from __future__ import annotations

from pathlib import Path

import pytest

from airbag_rollback.engine.states import State
from airbag_rollback.journal import Journal, open_journal
from airbag_rollback.standing import Standing, unsolved
from tests.fakes.alertmanager_api import alert
from tests.fakes.rollback import Bench, Surroundings, bench

SINCE = "airbag_rollback_not_acting_since_timestamp_seconds"


def standing(found: Bench, journal: Journal | None = None) -> Standing:
    receiver = found.receiver
    return Standing(
        lambda: receiver.settings, receiver.path, journal or receiver.journal, lambda: receiver.not_acting_since
    )


def scraped(found: Bench) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels."""
    samples = [sample for family in standing(found).collect() for sample in family.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}


def needs_human(found: Bench) -> float:
    return scraped(found)["airbag_rollback_needs_human", "main", "digits"]


def test_every_configured_model_is_shown_from_the_start(desk: Bench) -> None:
    shown = scraped(desk)
    assert shown["airbag_rollback_needs_human", "main", "digits"] == 0
    assert shown["airbag_rollback_needs_human", "main", "other"] == 0


def test_a_model_waits_for_a_person_until_somebody_releases_something(desk: Bench) -> None:
    desk.around.prometheus.errors(3, None)
    desk.post(alert())
    assert desk.run_until_ended().state is State.NEEDS_HUMAN
    assert needs_human(desk) == 1
    desk.restart()
    desk.watch(3600)
    assert needs_human(desk) == 1
    assert scraped(desk)["airbag_rollback_needs_human", "main", "other"] == 0
    desk.around.release(2)
    desk.watch(1)
    assert needs_human(desk) == 0


def test_a_rollback_that_did_not_help_waits_although_the_switch_itself_was_a_change(desk: Bench) -> None:
    desk.around.prometheus.errors(2, 0.9)
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "ineffective")
    desk.watch(60)
    assert needs_human(desk) == 1
    desk.around.version_on_disk(4)
    desk.around.release(2, 4)
    desk.watch(1)
    assert needs_human(desk) == 0


def test_a_rollback_that_helped_leaves_nobody_waiting(desk: Bench) -> None:
    desk.post(alert())
    assert desk.run_until_ended().state is State.SUCCEEDED
    assert unsolved(desk.receiver.journal) == set()


def test_who_may_act_has_no_time_since_which_it_may_not(desk: Bench) -> None:
    shown = scraped(desk)
    assert (SINCE,) not in shown
    assert shown["airbag_rollback_paused_max_seconds",] == 86_400


@pytest.mark.parametrize("mode", ["off", "observe"])
def test_since_when_it_may_not_act_survives_restarts_and_reloads(around: Surroundings, mode: str) -> None:
    around.write_policy(mode=mode)
    with bench(around) as found:
        began = found.clock.now()
        found.clock.time += 3600
        found.receiver.reload()
        found.restart()
        assert scraped(found)[SINCE,] == began
        around.write_policy(mode="auto")
        found.receiver.reload()
        assert (SINCE,) not in scraped(found)
        around.write_policy(mode=mode)
        found.receiver.reload()
        assert scraped(found)[SINCE,] == began + 3600


def test_what_is_turned_off_has_no_series(around: Surroundings) -> None:
    around.write_policy(watchdog_within="0s", paused_max="0s")
    with bench(around) as found:
        names = {key[0] for key in scraped(found)}
    assert names == {"airbag_rollback_needs_human"}


def test_before_the_first_watchdog_the_time_of_the_start_stands_for_it(desk: Bench) -> None:
    shown = scraped(desk)
    began = shown["airbag_rollback_watchdog_last_received_timestamp_seconds",]
    assert began == 1_000_000.0
    assert shown["airbag_rollback_watchdog_max_age_seconds",] == 180
    desk.clock.time += 50
    desk.receiver.path.heard()
    assert scraped(desk)["airbag_rollback_watchdog_last_received_timestamp_seconds",] == desk.clock.now()


def test_a_journal_that_cannot_be_read_costs_only_what_stands_in_it(desk: Bench, tmp_path: Path) -> None:
    closed = open_journal(tmp_path / "closed.sqlite", b"key")
    closed.close()
    shown = {family.name: family.samples for family in standing(desk, closed).collect()}
    assert shown["airbag_rollback_needs_human"] == []
    assert shown["airbag_rollback_watchdog_max_age_seconds"]
