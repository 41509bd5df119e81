"""Golden requests beside a server with real models, and the fast lane from what fails to Alertmanager."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from airbag.cli import airbag
from airbag.clock import SystemClock
from airbag.serving.reader import Reader
from airbag.serving.values import Endpoint, State
from airbag_exporters.config import load_exporters
from airbag_exporters.serving.fleet import Fleet
from airbag_exporters.serving.golden.file import load_golden
from airbag_exporters.serving.golden.probing import Probing
from airbag_exporters.serving.wanted import ModelsFile
from tests.fakes import model_server, saved_models
from tests.fakes.alertmanager_api import FakeAlertmanager, alertmanager
from tests.fakes.model_server import ModelServer
from tests.fakes.wait import until

GOLDEN = {"requests": [{"name": "line", "inputs": {"x": [1, -2]}, "expect": {"y": {"values": [2, -4]}}}]}
MODELS = """model_config_list {{ config {{
  name: "m" base_path: "{base}" model_platform: "tensorflow"
  model_version_policy {{ specific {{ {versions} }} }}
}} }}
"""


class Watched:
    """A model store, a real model server on it, and the exporter's own parts around both."""

    def __init__(self, folder: Path, server: ModelServer, manager: FakeAlertmanager) -> None:
        self.base, self.models_config = folder / "m", folder / "models.config"
        self.config, self.manager = folder / "exporters.yml", manager
        target = f'{{name: a, grpc: "{server.grpc_address}", rest: "127.0.0.1:{server.rest_port}"}}'
        self.config.write_text(
            f"servings:\n  - name: main\n    targets: [{target}]\n    model_config_file: models.config\n"
            "    models: [{name: m, golden: {file: golden.json, interval: 1s, timeout: 500ms}}]\n"
            f'alerts: {{alertmanager_urls: ["{manager.url}"]}}\n'
        )
        config, file = load_exporters(self.config), ModelsFile(self.models_config)
        self.probing = Probing(SystemClock(), lambda _serving: file.models())
        self.probing.adopt(config)
        self.fleet = Fleet(config, SystemClock(), self.probing.listener)

    def success(self) -> dict[str, float]:
        """By version whether the request is answered right."""
        families = text_string_to_metric_families(self.probing.page().decode())
        samples = [sample for family in families for sample in family.samples]
        return {s.labels["model_version"]: s.value for s in samples if s.name == "airbag_tfs_probe_success"}

    def serve(self, *versions: int) -> None:
        """Have the server serve exactly these."""
        written(self.models_config, self.base, *versions)


def written(models_config: Path, base: Path, *versions: int) -> None:
    half = models_config.with_suffix(".half")
    half.write_text(MODELS.format(base=base, versions=" ".join(f"versions: {version}" for version in versions)))
    half.replace(models_config)


@contextmanager
def watching(folder: Path, *versions: int) -> Iterator[Watched]:
    (folder / "golden.json").write_text(json.dumps(GOLDEN))
    written(folder / "models.config", folder / "m", *versions)
    flags = ["--model_config_file_poll_wait_seconds=1", "--file_system_poll_wait_seconds=1", "--num_load_threads=2"]
    flags += ["--max_num_load_retries=1", "--load_retry_interval_micros=1000"]
    with (
        alertmanager() as manager,
        model_server.running(*flags, config_file=folder / "models.config") as server,
    ):
        watched = Watched(folder, server, manager)
        watched.probing.start()
        watched.fleet.start()
        try:
            yield watched
        finally:
            watched.fleet.stop()
            watched.probing.stop()


def test_good_wrong_and_failing_versions_are_told_apart_and_the_bad_ones_called_to_alertmanager(tmp_path: Path) -> None:
    saved_models.add_model(tmp_path / "m", 1)
    with watching(tmp_path, 1) as watched:
        until(lambda: watched.success() == {"1": 1}, timeout=30, what="the good version's result")
        saved_models.wrong(watched.base, 2)
        saved_models.failing(watched.base, 3)
        watched.serve(1, 2, 3)
        until(lambda: watched.success() == {"1": 1, "2": 0, "3": 0}, timeout=30, what="the bad versions' results")
        until(lambda: len(watched.manager.names()) >= 2, timeout=10, what="the alerts")
        told = {alert["labels"]["model_version"]: alert for alert in watched.manager.alerts}
        assert told.keys() == {"2", "3"}
        assert {alert["labels"]["alertname"] for alert in told.values()} == {"AirbagProbeFailed"}
        assert (
            "line (output 'y'[0] is -2, expected 2 within 0.00201; 2 of 2 elements differ)"
            in (told["2"]["annotations"]["description"])
        )
        assert "INVALID_ARGUMENT" in told["3"]["annotations"]["description"]
        watched.serve(1)
        until(lambda: watched.success() == {"1": 1}, timeout=30, what="the end of the bad versions' series")


def test_a_version_whose_requests_hang_is_seen_though_the_server_counts_nothing_of_it(tmp_path: Path) -> None:
    saved_models.slow(tmp_path / "m", 1, seconds=3.0)
    with watching(tmp_path, 1) as watched:
        until(lambda: watched.success() == {"1": 0}, timeout=60, what="the third deadline")
        until(lambda: watched.manager.names() == ["AirbagProbeFailed"], timeout=10, what="the alert")
        assert "DEADLINE_EXCEEDED" in watched.manager.alerts[0]["annotations"]["description"]


def test_a_load_that_fails_is_called_to_alertmanager_at_once(tmp_path: Path) -> None:
    saved_models.add_model(tmp_path / "m", 1)
    with watching(tmp_path, 1) as watched:
        until(lambda: watched.success() == {"1": 1}, timeout=30, what="the good version's result")
        saved_models.failing_load(watched.base, 2)
        watched.serve(1, 2)
        until(lambda: watched.manager.names(), timeout=30, what="the alert")
        labels = watched.manager.alerts[0]["labels"]
        assert (labels["alertname"], labels["model_version"]) == ("AirbagVersionLoadFailed", "2")
        watched.serve(1)

        until(lambda: watched.manager.alerts[-1]["endsAt"] <= _now(), timeout=30, what="the end of the alert")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a running server's configuration: version 1 doubles, version 2 is wrong, neither is asked."""
    folder = tmp_path_factory.mktemp("store")
    saved_models.add_model(folder / "m", 1)
    saved_models.wrong(folder / "m", 2)
    written(folder / "models.config", folder / "m", 1, 2)
    with model_server.running(config_file=folder / "models.config") as server:
        (folder / "exporters.yml").write_text(
            "servings:\n  - name: main\n    model_config_file: models.config\n    models: [{name: m}]\n"
            f'    targets: [{{name: a, grpc: "{server.grpc_address}"}}]\n'
        )
        with Reader(Endpoint(server.grpc_address)) as reader:
            until(
                lambda: [each.state for each in reader.versions("m")] == [State.AVAILABLE] * 2,
                timeout=30,
                what="both versions: the ports open with the first one",
            )
        yield folder


def golden(store: Path, command: str, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(airbag, ["golden", command, "m", f"--config.file={store / 'exporters.yml'}", *words])
    return done.exit_code, done.output + (str(done.exception) if done.exception else "")


def test_what_a_good_version_answers_is_recorded_and_tells_a_bad_one(store: Path, tmp_path: Path) -> None:
    inputs, output = tmp_path / "inputs.ndjson", tmp_path / "golden.json"
    inputs.write_text('{"name": "a", "inputs": {"x": [0.1, 3]}}\n{"name": "b", "inputs": {"x": 5}}\n')
    code, text = golden(store, "record", "--version=1", f"--inputs={inputs}", "-o", str(output))
    assert (code, text) == (0, f"{output}: 2 requests as version 1 of m on main answers them\n")
    first, second = load_golden(output)
    assert first.inputs["x"].flat == (0.1, 3)
    assert first.expect["y"].values is not None
    assert first.expect["y"].values.flat == (0.200000003, 6.0)
    assert (first.expect["y"].atol, first.expect["y"].rtol) == (1e-5, 1e-3)
    assert second.expect["y"].values is not None
    assert second.expect["y"].values.shape == ()

    code, text = golden(store, "ask", "--version=1", f"--file={output}")
    assert code == 0
    assert text.splitlines()[0] == "version 1 of m on main, a"
    assert [line.split()[:2] for line in text.splitlines()[1:]] == [["a", "right"], ["b", "right"]]
    code, text = golden(store, "ask", f"--file={output}")  # version 2 answers by default
    assert code == 1
    assert "output 'y'[0] is -0.2, expected 0.2 within 0.00021; 2 of 2 elements differ" in text


def test_a_class_can_be_recorded_instead_of_values(store: Path, tmp_path: Path) -> None:
    inputs, output = tmp_path / "inputs.json", tmp_path / "golden.json"
    inputs.write_text('{"requests": [{"name": "a", "inputs": {"x": [[1, 3, 2]]}}]}')
    assert golden(store, "record", "--version=1", f"--inputs={inputs}", "-o", str(output), "--argmax=y")[0] == 0
    [request] = load_golden(output)
    assert request.expect["y"].argmax is not None
    assert request.expect["y"].argmax.flat == (1,)
    # What was recorded can be recorded again.
    assert golden(store, "record", "--version=1", f"--inputs={output}", "-o", str(output))[0] == 0


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--serving=other"], "no serving 'other' in the configuration, only main"),
        (["--target=b"], "main has no target 'b', only a"),
        (["--argmax=z"], "the answer has no such output, only y"),
        (["--version=9"], "NOT_FOUND"),
    ],
)
def test_what_cannot_be_recorded_is_said(store: Path, tmp_path: Path, words: list[str], problem: str) -> None:
    inputs = tmp_path / "inputs.json"
    inputs.write_text('{"requests": [{"name": "a", "inputs": {"x": 1}}]}')
    code, text = golden(store, "record", f"--inputs={inputs}", "-o", str(tmp_path / "golden.json"), *words)
    assert code != 0
    assert problem in text
    assert not (tmp_path / "golden.json").exists()


def test_inputs_that_the_version_does_not_take_are_named(store: Path, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs.json"
    inputs.write_text('{"requests": [{"name": "a", "inputs": {"z": 1}}]}')
    _, text = golden(store, "record", f"--inputs={inputs}", "-o", str(tmp_path / "golden.json"))
    assert "request 'a' cannot be asked of version 2 of 'm': it takes no input 'z', only 'x'" in text


def test_an_answer_that_is_no_number_is_nothing_to_expect(store: Path, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs.json"
    inputs.write_text('{"requests": [{"name": "a", "inputs": {"x": 3e38}}]}')
    _, text = golden(store, "record", f"--inputs={inputs}", "-o", str(tmp_path / "golden.json"))
    assert "output 'y' holds NaN or an infinity" in text


def test_asking_takes_the_requests_beside_the_version(store: Path) -> None:
    code, text = golden(store, "ask", "--version=1")
    assert code == 1
    assert "brings no assets.extra/airbag_golden.json and the configuration names no golden file" in text
    beside = store / "m" / "1" / "assets.extra"
    beside.mkdir()
    (beside / "airbag_golden.json").write_text(json.dumps(GOLDEN))
    assert golden(store, "ask", "--version=1")[0] == 0
