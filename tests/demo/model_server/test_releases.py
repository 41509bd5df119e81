"""Releases, failures and ways back on a running server, with real SavedModels."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.demo.model_server.client import Client, models_config, refusal, spec
from tests.demo.model_server.fake_loader import labels, specific
from tests.fakes import model_server, saved_models
from tests.fakes.wait import until

Apply = Callable[[dict[str, str]], object]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the one server of this file; each test brings a model of its own."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Client]:
    config = root / "models.config"
    config.write_text(models_config(root, {}))
    flags = ["--num_load_threads=2", "--num_unload_threads=2", "--max_num_load_retries=1"]
    flags += ["--load_retry_interval_micros=200000", "--tensorflow_inter_op_parallelism=8"]
    with model_server.running(*flags, config_file=config) as running, Client(running) as client:
        yield client


@pytest.fixture
def apply(server: Client, root: Path) -> Apply:
    return lambda models: server.reload(models_config(root, models))


def test_a_pushed_version_takes_over_and_an_older_one_can_be_brought_back(
    server: Client, root: Path, apply: Apply
) -> None:
    saved_models.add_model(root / "up", 1)
    apply({"up": ""})
    saved_models.add_model(root / "up", 2, scale=5.0)
    server.wait_states("up", "2 AVAILABLE, 1 END")
    assert server.predict("up").outputs["y"].float_val[0] == 5.0
    apply({"up": specific(1)})
    server.wait_states("up", "2 END, 1 AVAILABLE")
    assert server.predict("up").model_spec.version.value == 1
    assert server.metadata(spec("up")).model_spec.version.value == 1


@pytest.mark.parametrize(
    ("name", "broken", "code", "attempts"),
    [("cut", saved_models.truncated, 11, 2), ("graphless", saved_models.without_graph, 5, 0)],
)
def test_a_broken_version_ends_with_its_error_and_the_good_one_keeps_serving(
    server: Client, root: Path, apply: Apply, name: str, broken: Callable[[Path, int], Path], code: int, attempts: int
) -> None:
    saved_models.add_model(root / name, 1)
    apply({name: ""})
    path = broken(root / name, 2)
    server.wait_states(name, "2 END, 1 AVAILABLE")
    status = server.status(spec(name, 2)).model_version_status[0].status
    assert (status.error_code, bool(status.error_message)) == (code, True)
    assert server.predict(name).model_spec.version.value == 1
    failed = server.sample("cc:saved_model:load_attempt_count", f'model_path="{path}",status="fail"')
    assert failed == attempts
    assert f"Loading servable: {{name: {name} version: 2}} failed: " in server.server.log()


def test_a_stray_file_with_a_number_ends_with_failed_precondition(server: Client, root: Path, apply: Apply) -> None:
    saved_models.add_model(root / "stray", 1)
    apply({"stray": ""})
    (root / "stray" / "99").touch()
    server.wait_states("stray", "99 END, 1 AVAILABLE")
    status = server.status(spec("stray", 99)).model_version_status[0].status
    assert status.error_code == 9
    assert "Error while attempting to reserve resources to load servable {name: stray version: 99}" in (
        status.error_message
    )


def test_a_failing_warm_up_keeps_the_version_out_and_leaves_no_warm_up_sample(
    server: Client, root: Path, apply: Apply
) -> None:
    saved_models.add_model(root / "gate", 1)
    apply({"gate": ""})
    path = saved_models.with_warmup(root / "gate", 2, good=False)
    server.wait_states("gate", "2 END, 1 AVAILABLE")
    assert server.status(spec("gate", 2)).model_version_status[0].status.error_code == 3
    assert server.sample("cc:saved_model:load_attempt_count", f'model_path="{path}",status="success"') == 2
    assert f'model_warmup_records_read{{model_path="{path}"' not in server.http("GET", _PAGE).text


def test_a_version_that_is_renamed_while_it_loads_never_serves(server: Client, root: Path, apply: Apply) -> None:
    saved_models.add_model(root / "gone", 1)
    apply({"gone": ""})
    loading = saved_models.with_warmup(root / "gone", 2, seconds=1.0)
    server.wait_states("gone", "2 LOADING, 1 AVAILABLE")
    loading.rename(loading.with_name("2.quarantined"))
    server.wait_states("gone", "2 END, 1 AVAILABLE")
    status = server.status(spec("gone", 2)).model_version_status[0].status
    assert status.error_code == 5
    assert server.predict("gone").model_spec.version.value == 1


def test_a_load_that_is_not_wanted_any_more_ends_cancelled(server: Client, root: Path, apply: Apply) -> None:
    saved_models.add_model(root / "rush", 1)
    apply({"rush": specific(1, 2)})
    saved_models.with_warmup(root / "rush", 2, seconds=2.5)
    server.wait_states("rush", "2 LOADING, 1 AVAILABLE")
    apply({"rush": specific(1)})
    server.wait_states("rush", "2 END, 1 AVAILABLE")
    status = server.status(spec("rush", 2)).model_version_status[0].status
    assert (status.error_code, status.error_message) == (1, "Loading of servable cancelled")


def test_an_unload_waits_for_a_running_request_and_the_request_is_answered(
    server: Client, root: Path, apply: Apply
) -> None:
    saved_models.slow(root / "hold", 1, 1.5)
    apply({"hold": ""})
    answers: list[int] = []
    runs = server.sample("core:direct_session_runs", "")
    request = threading.Thread(target=lambda: answers.append(server.predict("hold").model_spec.version.value))
    request.start()
    until(lambda: server.sample("core:direct_session_runs", "") > runs, what="the request running")
    apply({})
    server.wait_states("hold", "1 UNLOADING")
    assert refusal(lambda: server.predict("hold")) == "NOT_FOUND: Servable not found for request: Latest(hold)"
    request.join()
    assert answers == [1]
    server.wait_states("hold", "1 END")


def test_a_label_moves_at_once_and_only_to_an_available_version(server: Client, root: Path, apply: Apply) -> None:
    saved_models.add_model(root / "tagged", 1)
    saved_models.add_model(root / "tagged", 2, scale=5.0)
    both = specific(1, 2)
    apply({"tagged": both})
    server.wait_states("tagged", "2 AVAILABLE, 1 AVAILABLE")
    apply({"tagged": both + labels({"stable": 1})})
    assert server.predict("tagged", label="stable").model_spec.version.value == 1
    apply({"tagged": both + labels({"stable": 2})})
    assert server.metadata(spec("tagged", label="stable")).model_spec.version.value == 2
    assert refusal(lambda: apply({"tagged": both + labels({"stable": 3})})) == (
        "FAILED_PRECONDITION: Request to assign label to version 3 of model tagged, "
        "which is not currently available for inference"
    )
    assert server.predict("tagged", label="stable").model_spec.version.value == 2


def test_a_new_model_that_fails_is_named_in_the_answer(server: Client, root: Path, apply: Apply) -> None:
    saved_models.without_graph(root / "born-dead", 1)
    said = refusal(lambda: apply({"born-dead": ""}))
    assert said.startswith(
        "UNKNOWN: 1 model(s) did not become available: {{{name: born-dead version: 1} due to error: NOT_FOUND: "
    )
    assert apply({"born-dead": ""})


def test_a_reload_that_hangs_goes_on_in_the_server_after_its_client_gave_up(server: Client, root: Path) -> None:
    nowhere = models_config(root, {"unborn": ""})
    assert refusal(lambda: server.reload(nowhere, timeout=0.5)).startswith("DEADLINE_EXCEEDED")
    assert refusal(lambda: server.reload(models_config(root, {}), timeout=0.5)).startswith("DEADLINE_EXCEEDED")
    saved_models.add_model(root / "unborn", 1)
    server.wait_states("unborn", "1 END")
    server.reload(models_config(root, {}))


_PAGE = "/monitoring/prometheus/metrics"
