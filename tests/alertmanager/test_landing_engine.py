"""Landings in the hands of the engine: several steps, silent servers, labels as what serves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from airbag.serving.model_config import ModelConfigFile, edit_versions
from airbag_rollback.engine.states import State
from tests.fakes.alertmanager_api import alert
from tests.fakes.rollback import Bench, Surroundings, bench
from tests.fakes.serving_state import StatefulServing, stateful_serving


def release(around: Surroundings, versions: tuple[int, ...], labels: dict[str, int], *more: StatefulServing) -> None:
    """Write versions and labels into models.config and load them everywhere."""
    file = ModelConfigFile(around.models_config)
    snapshot = file.read()
    file.replace(snapshot, edit_versions(snapshot.text, "digits", versions, labels=labels))
    for server in (around.serving, *more):
        server.load(around.models_config.read_text())


def labels_of(around: Surroundings) -> dict[str, int]:
    return dict(ModelConfigFile(around.models_config).read().model("digits").version_labels)


def states(desk: Bench) -> list[str]:
    return [event.after for event in desk.receiver.journal.actions.events(desk.actions()[-1].id)]


def test_a_target_that_is_not_loaded_is_loaded_before_its_label_moves_and_then_the_bad_one_goes(
    around: Surroundings,
) -> None:
    release(around, (2,), {"stable": 2})
    with bench(around) as desk:
        desk.watch(60)
        release(around, (3,), {"stable": 3})
        desk.watch(5)
        around.bad_release()
        desk.post(alert())
        action = desk.run_until_ended()
        assert (action.state, action.steps) == (State.SUCCEEDED, 2)
        assert states(desk).count("EXECUTING") == 2
    assert around.serving.switches == [("digits", (2, 3)), ("digits", (2,))]
    assert (around.named(), labels_of(around)) == ((2,), {"stable": 2})


def by_label(around: Surroundings) -> None:
    file = around.folder / "exporters.yml"
    file.write_text(file.read_text().replace("{name: digits}", "{name: digits, routing: labels, labels: [stable]}"))
    around.write_policy(models="[{model: digits, landing: serving-label}]")


def test_a_label_that_names_a_bad_version_moves_and_both_stay_loaded(around: Surroundings) -> None:
    by_label(around)
    release(around, (2, 3), {"stable": 2})
    with bench(around) as desk:
        desk.watch(60)
        release(around, (2, 3), {"stable": 3})
        desk.watch(5)
        around.bad_release()
        desk.post(alert())
        action = desk.run_until_ended()
        assert (action.state, action.target_version) == (State.SUCCEEDED, 2)
    assert (around.named(), labels_of(around), around.serving.switches) == ((2, 3), {"stable": 2}, [])


def test_a_version_that_no_label_names_is_not_what_serves(around: Surroundings) -> None:
    by_label(around)
    release(around, (2, 3), {"stable": 2})
    with bench(around) as desk:
        desk.watch(60)
        around.bad_release()
        desk.post(alert())
        action = desk.run_until_ended()
        assert (action.state, action.reason) == (State.SUPPRESSED, "superseded")
    assert around.serving.reloads == 0


def test_a_label_that_is_not_there_is_a_persons_matter_and_nothing_is_touched(around: Surroundings) -> None:
    by_label(around)
    around.write_policy(models="[{model: digits, landing: serving-label, label: prod}]")
    release(around, (2, 3), {"stable": 2})
    with bench(around) as desk:
        desk.watch(60)
        release(around, (2, 3), {"stable": 3})
        desk.watch(5)
        around.bad_release()
        desk.post(alert())
        action = desk.run_until_ended()
        assert (action.state, action.reason) == (State.NEEDS_HUMAN, "unknown_label")
        assert "it has stable" in action.text
    assert around.serving.reloads == 0


@pytest.fixture
def pair(around: Surroundings) -> Iterator[tuple[Bench, StatefulServing]]:
    """A receiver of two servers with 3 just released and bad, of which the second is silent by now."""
    with stateful_serving() as second:
        file = around.folder / "exporters.yml"
        one = f'{{name: one, grpc: "{around.serving.address}"}}'
        file.write_text(file.read_text().replace(one, f'{one}, {{name: two, grpc: "{second.address}"}}'))
        release(around, (1, 2), {}, second)
        with bench(around) as desk:
            desk.watch(60)
            release(around, (2, 3), {}, second)
            desk.watch(5)
            around.bad_release()
            second.die()
            yield desk, second


def test_a_silent_server_holds_no_rollback_back_and_is_told_as_soon_as_it_answers(
    pair: tuple[Bench, StatefulServing],
) -> None:
    desk, second = pair
    desk.post(alert())
    desk.settle()
    assert desk.around.serving.switches == [("digits", (2,))]
    second.start()
    assert desk.run_until_ended().state is State.SUCCEEDED
    assert second.switches == [("digits", (2,))]


def test_a_server_that_stays_silent_is_named_at_the_deadline(pair: tuple[Bench, StatefulServing]) -> None:
    desk, _ = pair
    desk.post(alert())
    action = desk.run_until_ended()
    assert (action.state, action.reason) == (State.NEEDS_HUMAN, "switch_unverified")
    assert re.search(r"one followed; two is silent: .*UNAVAILABLE", action.text)
    assert desk.around.named() == (2,)


def test_a_directory_is_hidden_where_no_server_can_be_told(tmp_path: Path, around: Surroundings) -> None:
    base = around.folder / "store" / "digits"
    file = around.folder / "exporters.yml"
    file.write_text(
        re.sub(r" +model_config_file: .*\n", "", file.read_text()).replace(
            "{name: digits}", f"{{name: digits, base_path: {base}}}"
        )
    )
    around.write_policy(landing="quarantine-directory")
    hidden = base / "not-yet"
    (base / "3").rename(hidden)
    around.serving.poll("digits", base)
    with bench(around) as desk:
        desk.watch(60)
        hidden.rename(base / "3")
        around.serving.poll("digits", base)
        desk.watch(5)
        around.bad_release()
        desk.post(alert())
        desk.settle()
        assert not (base / "3").exists()
        around.serving.poll("digits", base)
        action = desk.run_until_ended()
        assert (action.state, action.target_version) == (State.SUCCEEDED, 2)
    assert around.serving.reloads == 0
