"""Reloads, labels and status: what is checked in which order, and what stays done when a later step fails."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tensorflow_serving.config import model_server_config_pb2

from airbag_demo.model_server.core import Wanted, poll_config
from airbag_demo.model_server.states import StateMonitor
from airbag_demo.model_server.status import StatusError
from tests.demo.model_server.fake_loader import CoreBench, FakeLoader, labels, specific
from tests.fakes.wait import until

CoreOf = Callable[..., CoreBench]
Polling = Callable[[Path, CoreBench], None]

UNAVAILABLE = (
    "FAILED_PRECONDITION: Request to assign label to version {version} of model {name}, "
    "which is not currently available for inference"
)


@pytest.fixture
def loader() -> FakeLoader:
    return FakeLoader()


@pytest.fixture
def core_of(tmp_path: Path) -> Iterator[CoreOf]:
    """Makes cores and closes them."""
    with contextlib.ExitStack() as stack:

        def make(loader: FakeLoader, **options: bool) -> CoreBench:
            bench = CoreBench(tmp_path, loader, **options)
            stack.callback(bench.close)
            return bench

        yield make


@pytest.fixture
def bench(core_of: CoreOf, loader: FakeLoader) -> CoreBench:
    """A core that serves versions 1 and 2 of model m."""
    bench = core_of(loader)
    bench.put("m", 1, 2)
    bench.start(f"m {specific(1, 2)}")
    bench.wait("m", "2 AVAILABLE, 1 AVAILABLE")
    return bench


@pytest.fixture
def polling() -> Iterator[Polling]:
    """Polls a config file every 50 ms until the test is over."""
    closed = threading.Event()
    threads: list[threading.Thread] = []

    def pause(seconds: float) -> None:
        if closed.wait(seconds):
            raise SystemExit

    def poll(file: Path, bench: CoreBench) -> None:
        with contextlib.suppress(SystemExit):
            poll_config(str(file), 0.05, bench.core.reload, pause)

    def start(file: Path, bench: CoreBench) -> None:
        threads.append(threading.Thread(target=poll, args=(file, bench)))
        threads[-1].start()

    yield start
    closed.set()
    for thread in threads:
        thread.join(10)


def test_the_start_waits_until_every_model_is_decided_and_fails_if_one_failed(core_of: CoreOf) -> None:
    loader = FakeLoader()
    loader.failures["bad/1"] = 99
    bench = core_of(loader)
    bench.put("good", 1)
    bench.put("bad", 1)
    with pytest.raises(StatusError) as caught:
        bench.start("good", "bad")
    assert str(caught.value.status) == (
        "UNKNOWN: 1 servable(s) did not become available: "
        "{{{name: bad version: 1} due to error: NOT_FOUND: no graph}, }"
    )
    assert bench.states("good") == "1 AVAILABLE"


def test_a_label_at_the_start_is_refused_without_the_flag(core_of: CoreOf) -> None:
    bench = core_of(FakeLoader())
    bench.put("m", 1)
    with pytest.raises(StatusError) as caught:
        bench.start(f"m {labels({'stable': 1})}")
    assert str(caught.value.status) == UNAVAILABLE.format(version=1, name="m")


def test_a_label_at_the_start_is_taken_with_the_flag(core_of: CoreOf) -> None:
    bench = core_of(FakeLoader(), allow_labels=True)
    bench.put("m", 1)
    bench.start(f"m {labels({'stable': 1})}")
    assert bench.answering("m", label="stable") == 1


def test_a_reload_of_an_existing_model_returns_before_anything_has_moved(bench: CoreBench, loader: FakeLoader) -> None:
    loader.gates["m/3"] = threading.Event()
    bench.put("m", 3)
    bench.reload(f"m {specific(1, 2, 3)}")
    assert bench.answering("m") == 2
    loader.gates["m/3"].set()
    bench.wait("m", "3 AVAILABLE, 2 AVAILABLE, 1 AVAILABLE")


def test_going_back_moves_the_default_when_the_higher_number_is_taken_out(bench: CoreBench) -> None:
    bench.reload(f"m {specific(1)}")
    bench.wait("m", "2 END, 1 AVAILABLE")
    assert bench.answering("m") == 1
    assert bench.answering("m", version=2) == "NOT_FOUND: Servable not found for request: Specific(m, 2)"


def test_a_policy_that_names_only_missing_versions_unloads_the_model_and_says_ok(bench: CoreBench) -> None:
    assert bench.refusal(f"m {specific(7)}") == "OK"
    bench.wait("m", "2 END, 1 END")
    assert bench.answering("m") == "NOT_FOUND: Servable not found for request: Latest(m)"


@pytest.mark.parametrize(
    ("models", "refusal"),
    [
        (["m", "m"], "INVALID_ARGUMENT: Illegal to list model m multiple times in config list"),
        (['m base_path: "relative"'], "INVALID_ARGUMENT: Expected model m to have an absolute path or URI"),
        (['m model_platform: "caffe"'], "INVALID_ARGUMENT: Illegal to change a model's platform."),
        (['m model_platform: ""'], "INVALID_ARGUMENT: Illegal setting neither ModelServerConfig::model_type"),
        ([f"m {labels({'stable': 7})}"], UNAVAILABLE.format(version=7, name="m")),
        (["m", 'n model_platform: "caffe"'], "INVALID_ARGUMENT: Model n requests unsupported platform caffe"),
    ],
)
def test_a_config_that_is_refused_changes_no_version(bench: CoreBench, models: list[str], refusal: str) -> None:
    assert bench.refusal(*models).startswith(refusal)
    bench.storage.poll()
    assert bench.states("m") == "2 AVAILABLE, 1 AVAILABLE"
    assert bench.storage.names == {"m"}


def test_only_a_list_may_follow_a_list(bench: CoreBench) -> None:
    with pytest.raises(StatusError) as caught:
        bench.core.reload(model_server_config_pb2.ModelServerConfig())
    assert str(caught.value.status).startswith("FAILED_PRECONDITION: Cannot transition to requested config.")


def test_a_stale_label_of_one_model_refuses_the_reload_of_all(bench: CoreBench) -> None:
    bench.put("n", 1)
    bench.reload(f"m {specific(1, 2)}", "n")
    refusal = bench.refusal(f"m {specific(1)}", f"n {labels({'old': 7})}")
    assert refusal == UNAVAILABLE.format(version=7, name="n")
    bench.storage.poll()
    assert bench.states("m") == "2 AVAILABLE, 1 AVAILABLE"


def test_the_whole_label_map_is_replaced_at_once(bench: CoreBench) -> None:
    bench.reload(f"m {specific(1, 2)} {labels({'stable': 1, 'canary': 2})}")
    assert (bench.answering("m", label="stable"), bench.answering("m", label="canary")) == (1, 2)
    bench.reload(f"m {specific(1, 2)} {labels({'stable': 2})}")
    assert bench.answering("m", label="stable") == 2
    assert bench.answering("m", label="canary") == "INVALID_ARGUMENT: Unrecognized servable version label: canary"


def test_a_label_cannot_name_a_version_that_is_still_loading(bench: CoreBench, loader: FakeLoader) -> None:
    loader.gates["m/3"] = threading.Event()
    bench.put("m", 3)
    bench.reload(f"m {specific(1, 2, 3)}")
    bench.wait("m", "3 LOADING, 2 AVAILABLE, 1 AVAILABLE")
    assert bench.refusal(f"m {specific(1, 2, 3)} {labels({'canary': 3})}") == UNAVAILABLE.format(version=3, name="m")
    loader.gates["m/3"].set()
    bench.wait("m", "3 AVAILABLE, 2 AVAILABLE, 1 AVAILABLE")


def test_a_reload_leaves_nothing_behind_that_listens(bench: CoreBench) -> None:
    def monitors() -> int:
        gc.collect()
        return sum(isinstance(one, StateMonitor) for one in gc.get_objects())

    before = monitors()
    for _ in range(3):
        bench.reload(f"m {specific(1, 2)}")
    assert monitors() == before


def test_labels_stay_as_they_were_when_one_of_them_is_refused(bench: CoreBench) -> None:
    bench.reload(f"m {specific(1, 2)} {labels({'stable': 1})}")
    assert bench.refusal(f"m {specific(1, 2)} {labels({'stable': 2, 'canary': 7})}") != "OK"
    assert bench.answering("m", label="stable") == 1


def test_labels_move_although_a_later_step_refuses_the_reload(bench: CoreBench) -> None:
    refusal = bench.refusal(f"m {specific(1, 2)} {labels({'stable': 1})}", 'n model_platform: "caffe"')
    assert refusal.startswith("INVALID_ARGUMENT: Model n requests")
    assert bench.answering("m", label="stable") == 1


def test_a_label_may_leave_a_version_in_the_reload_that_drops_the_version(bench: CoreBench) -> None:
    bench.reload(f"m {specific(1, 2)} {labels({'stable': 2})}")
    bench.reload(f"m {specific(1)} {labels({'stable': 1})}")
    bench.wait("m", "2 END, 1 AVAILABLE")
    assert bench.answering("m", label="stable") == 1


def test_with_the_flag_a_label_still_cannot_move_to_a_version_that_is_not_available(core_of: CoreOf) -> None:
    bench = core_of(FakeLoader(), allow_labels=True)
    bench.put("m", 1)
    bench.start(f"m {labels({'stable': 1})}")
    assert bench.refusal(f"m {labels({'stable': 7})}") == UNAVAILABLE.format(version=7, name="m")
    assert bench.refusal(f"m {labels({'stable': 1, 'next': 7})}") == "OK"
    assert bench.answering("m", label="next") == "NOT_FOUND: Servable not found for request: Specific(m, 7)"


def test_a_new_model_is_waited_for(bench: CoreBench) -> None:
    bench.put("n", 1)
    bench.reload(f"m {specific(1, 2)}", "n")
    assert bench.states("n") == "1 AVAILABLE"


def test_a_new_model_that_fails_is_reported_and_the_rest_stays_applied_and_the_second_try_says_ok(
    bench: CoreBench, loader: FakeLoader
) -> None:
    loader.failures["n/1"] = 99
    bench.put("n", 1)
    models = (f"m {specific(1)}", "n")
    assert bench.refusal(*models) == (
        "UNKNOWN: 1 model(s) did not become available: {{{name: n version: 1} due to error: NOT_FOUND: no graph}, }"
    )
    bench.wait("m", "2 END, 1 AVAILABLE")
    assert bench.refusal(*models) == "OK"
    assert loader.attempts.count("n/1") == 1


def test_a_new_model_without_a_directory_hangs_its_reload_and_every_later_one_until_it_appears(
    bench: CoreBench,
) -> None:
    first = threading.Thread(target=bench.reload, args=(f"m {specific(1, 2)}", "n"), daemon=True)
    first.start()
    until(lambda: bench.storage.names == {"m", "n"}, what="the new model being looked for")
    second = threading.Thread(target=bench.reload, args=(f"m {specific(1)}", "n"), daemon=True)
    second.start()
    second.join(0.5)
    assert first.is_alive()
    assert second.is_alive()
    bench.put("n", 1)
    first.join(10)
    second.join(10)
    assert not first.is_alive()
    assert not second.is_alive()
    bench.wait("m", "2 END, 1 AVAILABLE")


def test_a_logging_config_is_refused_after_everything_else_was_applied(bench: CoreBench) -> None:
    refusal = bench.refusal(f"m {specific(1)} logging_config {{ sampling_config {{ sampling_rate: 1 }} }}")
    assert refusal == "INVALID_ARGUMENT: No request-logger-creator provided."
    bench.wait("m", "2 END, 1 AVAILABLE")


def test_an_empty_list_unloads_everything_and_the_models_stay_known(bench: CoreBench) -> None:
    bench.reload()
    bench.wait("m", "2 END, 1 END")
    assert [event.version for event in bench.core.status(Wanted("m"))] == [2, 1]


def test_a_version_that_is_loaded_is_not_reloaded_from_a_new_base_path(bench: CoreBench, loader: FakeLoader) -> None:
    bench.put("elsewhere/m", 1, 2)
    bench.reload(f'm base_path: "{bench.root}/elsewhere/m" {specific(1, 2)}')
    bench.storage.poll()
    bench.manager.tick()
    assert loader.attempts.count("m/2") == 1


def test_status_ignores_a_label_and_knows_what_was_never_heard_of(bench: CoreBench) -> None:
    assert [event.version for event in bench.core.status(Wanted("m", label="nonsense"))] == [2, 1]
    with pytest.raises(StatusError, match="Could not find version 9 of model m"):
        bench.core.status(Wanted("m", 9))
    with pytest.raises(StatusError, match="Could not find any versions of model nope"):
        bench.core.status(Wanted("nope"))


def test_the_config_file_is_applied_at_once_and_again_and_a_bad_one_changes_nothing(
    bench: CoreBench, polling: Polling, caplog: pytest.LogCaptureFixture
) -> None:
    file = bench.root / "models.config"
    file.write_text(str(bench.config(f"m {specific(1)}")))
    polling(file, bench)
    bench.wait("m", "2 END, 1 AVAILABLE")
    _replace(file, "this is no config")
    until(lambda: f"Invalid protobuf file: '{file}'" in caplog.text, what="the complaint")
    assert bench.states("m") == "2 END, 1 AVAILABLE"
    _replace(file, "")
    until(lambda: f"{file}; Invalid argument" in caplog.text, what="the complaint about the empty file")
    _replace(file, "# nothing")
    until(lambda: "Cannot transition to requested config" in caplog.text, what="the complaint about an empty config")
    _replace(file, str(bench.config(f"m {specific(2)}")))
    bench.wait("m", "2 AVAILABLE, 1 END")


def test_the_config_file_undoes_a_reload_that_it_does_not_agree_with(bench: CoreBench, polling: Polling) -> None:
    file = bench.root / "models.config"
    file.write_text(str(bench.config(f"m {specific(1, 2)}")))
    bench.reload(f"m {specific(1, 2)} {labels({'stable': 1})}")
    assert bench.answering("m", label="stable") == 1
    polling(file, bench)
    until(lambda: "Unrecognized" in str(bench.answering("m", label="stable")), what="the first poll")


def _replace(file: Path, text: str) -> None:
    new = file.with_suffix(".new")
    new.write_text(text)
    new.rename(file)


def test_a_model_that_was_taken_without_a_platform_refuses_every_later_reload(bench: CoreBench) -> None:
    without = (
        "INVALID_ARGUMENT: Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
        "ModelServerConfig::model_platform, model name is n"
    )
    assert bench.refusal("m", 'n model_platform: ""') == without
    assert bench.refusal("m") == without
    assert bench.states("m") == "2 AVAILABLE, 1 AVAILABLE"


def test_the_old_way_to_name_a_platform_is_the_same_platform(bench: CoreBench) -> None:
    assert bench.refusal(f'm model_platform: "" model_type: TENSORFLOW {specific(1, 2)}') == "OK"
    assert bench.refusal("m model_type: TENSORFLOW").startswith(
        "INVALID_ARGUMENT: Illegal setting both ModelServerConfig::model_type (deprecated)"
    )
    assert bench.refusal('m model_platform: "" model_type: OTHER') == (
        "INVALID_ARGUMENT: ModelServerConfig::model_type choice 2 not supported."
    )


def test_a_model_that_is_removed_and_added_back_loads_again(bench: CoreBench, loader: FakeLoader) -> None:
    bench.reload()
    bench.wait("m", "2 END, 1 END")
    assert bench.refusal(f"m {specific(1, 2)}") == "OK"
    bench.wait("m", "2 AVAILABLE, 1 AVAILABLE")
    assert loader.attempts.count("m/2") == 2


def test_a_model_that_is_added_back_before_it_is_gone_is_reported_without_a_reason_and_comes_back(
    bench: CoreBench,
) -> None:
    bench.reload(f"m {specific(2)}")
    bench.wait("m", "2 AVAILABLE, 1 END")
    spec = Wanted("m")
    with bench.core.hold(spec):
        bench.reload()
        bench.wait("m", "2 UNLOADING, 1 END")
        back = _in_thread(lambda: bench.refusal(f"m {specific(2)}"))
        until(lambda: bench.storage.names == {"m"}, what="the second reload")
    assert back() == "UNKNOWN: 1 model(s) did not become available: {{{name: m version: 2}}, }"
    bench.wait("m", "2 AVAILABLE, 1 END")


def test_while_the_manager_is_busy_a_removal_is_lost_and_the_call_that_adds_the_model_back_waits_for_ever(
    bench: CoreBench, loader: FakeLoader
) -> None:
    """The manager's one thread is loading version 3: it hears only the last of two requests."""
    loader.gates["m/3"] = threading.Event()
    bench.put("n", 1)
    bench.reload(f"m {specific(1, 2)}", "n")
    bench.put("m", 3)
    bench.reload(f"m {specific(1, 2, 3)}", "n")
    bench.wait("m", "3 LOADING, 2 AVAILABLE, 1 AVAILABLE")
    bench.reload(f"m {specific(1, 2, 3)}")
    back = threading.Thread(target=bench.refusal, args=(f"m {specific(1, 2, 3)}", "n"), daemon=True)
    back.start()
    until(lambda: bench.storage.names == {"m", "n"}, what="the model being back")
    bench.storage.poll()
    loader.gates["m/3"].set()
    bench.wait("m", "3 AVAILABLE, 2 AVAILABLE, 1 AVAILABLE")
    back.join(0.5)
    assert back.is_alive()
    assert bench.states("n") == "1 AVAILABLE"
    assert bench.answering("n") == 1
    bench.put("n", 2)  # ends the wait, so that the thread does


def test_a_custom_config_at_the_start_is_refused(core_of: CoreOf) -> None:
    config = model_server_config_pb2.ModelServerConfig()
    config.custom_model_config.type_url = "x"
    with pytest.raises(StatusError, match="does not yet support custom model config"):
        core_of(FakeLoader()).core.reload(config)


def _in_thread(work: Callable[[], str]) -> Callable[[], str]:
    """Start the work; the result of the call is its result, waited for."""
    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()

    def result() -> str:
        thread.join(10)
        assert results, "it goes on"
        return results[0]

    return result
