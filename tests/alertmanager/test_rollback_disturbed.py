"""Refusals, and other hands on the file, the servers and the store while a rollback is on its way."""

from __future__ import annotations

import threading
from pathlib import Path

import grpc

from airbag.serving.model_config import ModelConfigFile
from airbag_rollback.engine.states import State
from tests.fakes.alertmanager_api import alert
from tests.fakes.rollback import Bench, bench, surroundings


def test_a_refused_reload_is_read_from_reality_and_tried_again(desk: Bench) -> None:
    desk.around.serving.refuse_reload = (grpc.StatusCode.FAILED_PRECONDITION, "label points to nothing")
    desk.post(alert())
    desk.settle()
    assert [action.state for action in desk.actions()] == [State.UNKNOWN]
    desk.around.serving.refuse_reload = None
    assert desk.run_until_ended().state is State.SUCCEEDED
    assert desk.around.serving.switches == [("digits", (2,))]


def test_a_reload_that_is_always_refused_is_not_hammered_and_ends_with_a_person(desk: Bench) -> None:
    desk.around.serving.refuse_reload = (grpc.StatusCode.FAILED_PRECONDITION, "label points to nothing")
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "switch_unverified")
    assert "label points to nothing" in action.text
    assert desk.around.serving.reloads <= 14


def test_a_release_between_plan_and_touch_ends_the_plan(desk: Bench) -> None:
    desk.post(alert())
    desk.turn(4)
    assert [action.state for action in desk.actions()] == [State.ARMED]
    desk.around.version_on_disk(4)
    desk.around.release(3, 4)
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.SUPPRESSED, "superseded")
    assert desk.around.named() == (3, 4)
    assert desk.around.serving.reloads == 0


def test_a_file_that_somebody_changed_ends_the_plan_before_any_server_follows(desk: Bench) -> None:
    desk.post(alert())
    desk.turn(3)
    text = desk.around.models_config.read_text()
    desk.around.models_config.write_text(text.replace("versions: 2 versions: 3", "versions: 1 versions: 3"))
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.SUPPRESSED, "superseded")
    assert desk.around.named() == (1, 3)
    assert desk.around.serving.reloads == 0


def test_a_server_that_moved_on_by_itself_ends_the_plan(desk: Bench) -> None:
    desk.post(alert())
    desk.turn(3)
    desk.around.serving.models["digits"][3] = 50
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.SUPPRESSED, "superseded")
    assert desk.around.named() == (2, 3)
    assert desk.around.serving.reloads == 0


def test_a_target_whose_files_vanish_after_the_plan_is_not_switched_to(desk: Bench) -> None:
    desk.post(alert())
    desk.turn(3)
    (desk.around.folder / "store" / "digits" / "2" / "saved_model.pb").unlink()
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "no_eligible_target")
    assert desk.around.named() == (2, 3)
    assert desk.around.serving.reloads == 0


def test_a_server_that_does_not_answer_is_waited_for_and_then_paged(desk: Bench) -> None:
    desk.around.serving.die()
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "server_unreachable")


def test_without_a_config_file_there_is_no_way_to_act(tmp_path: Path) -> None:
    with surroundings(tmp_path, with_config_file=False) as around, bench(around) as desk:
        desk.watch(60)
        around.serving.models["digits"][3] = 30
        desk.watch(5)
        around.bad_release()
        desk.post(alert())
        action = desk.run_until_ended()
        assert (action.state, action.reason) == (State.NEEDS_HUMAN, "no_model_config_file")
        assert around.serving.reloads == 0


def test_a_models_config_that_cannot_be_replaced_is_a_failure_without_effect(desk: Bench) -> None:
    desk.around.models_config.with_name("models.config.lock").unlink(missing_ok=True)
    desk.around.models_config.with_name("models.config.lock").mkdir()
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.FAILED, "models_config")
    assert desk.around.serving.reloads == 0


def test_another_writer_who_never_lets_go_is_waited_for_and_then_a_person_is_told(desk: Bench) -> None:
    taken, free = threading.Event(), threading.Event()

    def write_for_ever() -> None:
        with ModelConfigFile(desk.around.models_config).locked():
            taken.set()
            free.wait(60)

    other = threading.Thread(target=write_for_ever)
    other.start()
    try:
        taken.wait(10)
        desk.post(alert())
        desk.turn(5)
        assert [action.state for action in desk.actions()] == [State.BLOCKED]
        desk.watch(61)
        desk.settle()
    finally:
        free.set()
        other.join()
    (action,) = desk.actions()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "file_locked")
    assert desk.around.serving.reloads == 0


def test_someone_elses_hand_after_an_unclear_touch_is_left_to_a_person(desk: Bench) -> None:
    desk.around.serving.refuse_reload = (grpc.StatusCode.INTERNAL, "not now")
    desk.post(alert())
    desk.settle()
    desk.around.serving.refuse_reload = None
    desk.around.version_on_disk(4)
    desk.around.release(3, 4)
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "changed_by_others")
    assert desk.around.named() == (3, 4)
