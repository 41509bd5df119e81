"""After the touch: a rollback counts when every server made the switch, keeps it, and it helped."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from airbag_rollback.engine.states import State
from tests.fakes.alertmanager_api import alert
from tests.fakes.rollback import Bench, Surroundings, bench
from tests.fakes.serving_state import StatefulServing, stateful_serving


def test_a_target_that_is_bad_as_well_is_ineffective_and_paged(desk: Bench) -> None:
    desk.around.prometheus.errors(2, 0.8)
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "ineffective")
    assert "INEFFECTIVE" in [event.after for event in desk.receiver.journal.actions.events(action.id)]
    assert desk.around.serving.switches == [("digits", (2,))]


def test_a_recovery_that_nobody_can_measure_is_not_called_a_success(desk: Bench) -> None:
    desk.around.prometheus.errors(2, None)
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "outcome_unverified")


def test_good_answers_from_before_the_switch_do_not_count_as_recovery(desk: Bench) -> None:
    desk.post(alert())
    action = desk.run_until_ended()
    assert action.recovered_at is not None
    assert action.recovered_at >= 1_000_060.0 + 15.0  # version 2 stopped at 60 s; the window looks back 15 s


def test_a_target_that_never_gets_up_is_told_with_the_servers_own_words(desk: Bench) -> None:
    desk.around.serving.broken[2] = (8, "no memory for it")
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "switch_unverified")
    assert "no memory for it" in action.text


@pytest.fixture
def pair(around: Surroundings) -> Iterator[tuple[Bench, StatefulServing]]:
    """A bench whose serving has two servers, with version 3 just released on both, and bad; and the second server."""
    with stateful_serving() as second:
        second.load(around.models_config.read_text())
        file = around.folder / "exporters.yml"
        one = f'{{name: one, grpc: "{around.serving.address}"}}'
        file.write_text(file.read_text().replace(one, f'{one}, {{name: two, grpc: "{second.address}"}}'))
        with bench(around) as found:
            found.watch(60)
            around.release(2, 3)
            second.load(around.models_config.read_text())
            found.watch(5)
            around.bad_release()
            yield found, second


def test_every_server_of_the_group_gets_the_same_config(pair: tuple[Bench, StatefulServing]) -> None:
    desk, second = pair
    desk.post(alert())
    assert desk.run_until_ended().state is State.SUCCEEDED
    assert desk.around.serving.switches == second.switches == [("digits", (2,))]


def test_one_server_that_refuses_keeps_the_others_not_waiting_and_is_told_again(
    pair: tuple[Bench, StatefulServing],
) -> None:
    desk, second = pair
    desk.around.serving.refuse_reload = (grpc.StatusCode.INTERNAL, "not now")
    desk.post(alert())
    desk.settle()
    assert [action.state for action in desk.actions()] == [State.UNKNOWN]
    assert second.switches == [("digits", (2,))]
    desk.around.serving.refuse_reload = None
    assert desk.run_until_ended().state is State.SUCCEEDED
    assert desk.around.serving.switches == second.switches == [("digits", (2,))]


def test_servers_that_follow_a_release_one_by_one_do_not_end_the_rollback(pair: tuple[Bench, StatefulServing]) -> None:
    desk, second = pair
    second.models["digits"][3] = 20
    desk.post(alert())
    desk.turn(3)
    assert desk.actions()[0].expected == (2, 3)
    second.models["digits"][3] = 30
    assert desk.run_until_ended().state is State.SUCCEEDED
    assert desk.around.serving.switches == second.switches == [("digits", (2,))]


def test_a_switch_counts_only_when_every_server_made_it(pair: tuple[Bench, StatefulServing]) -> None:
    desk, second = pair
    second.stuck.add(2)
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "switch_unverified")
    assert "two: 3 AVAILABLE, 2 LOADING" in action.text


def test_a_server_that_falls_back_while_it_is_watched_is_not_stable(desk: Bench) -> None:
    desk.around.write_policy(stable_for="5s")
    desk.receiver.reload()
    desk.post(alert())
    desk.settle()
    desk.watch(3)
    desk.settle()
    desk.around.serving.models["digits"][2] = 20
    desk.settle()
    desk.around.serving.models["digits"][2] = 30
    desk.watch(3)
    desk.settle()
    assert [action.state for action in desk.actions()] == [State.VERIFY_MECHANISM]
    desk.watch(5)
    desk.settle()
    assert [action.state for action in desk.actions()] == [State.VERIFY_OUTCOME]


def test_a_version_that_is_still_coming_up_keeps_the_switch_from_being_done(desk: Bench) -> None:
    desk.post(alert())
    desk.turn(5)
    desk.around.serving.models["digits"][4] = 20
    for _ in range(4):
        desk.watch(1)
        desk.settle()
    assert [action.state for action in desk.actions()] == [State.VERIFY_MECHANISM]
