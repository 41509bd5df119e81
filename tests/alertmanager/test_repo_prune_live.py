"""A prune beside the real local model server: traffic runs, the server polls, and nobody notices."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from airbag.errors import AirbagError
from airbag.serving.model_config import ModelConfigFile, edit_versions
from airbag.serving.reader import Reader
from airbag.serving.values import Endpoint, State
from tests.fakes import model_server, saved_models
from tests.fakes.wait import until

POLICIES = ["latest { num_versions: 2 }", "specific { versions: 5 versions: 6 }"]


class Traffic:
    """Requests without a pause; every answer's version, and every failure."""

    def __init__(self, reader: Reader) -> None:
        self.versions: list[int] = []
        self.failures: list[str] = []
        self._reader = reader
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.versions.append(self._reader.predict("m", {"x": np.array([1.0], np.float32)}, timeout=20).version)
            except AirbagError as error:
                self.failures.append(str(error))


def files_of(folder: Path, policy: str) -> None:
    (folder / "models.config").write_text(
        f'model_config_list {{ config {{ name: "m" base_path: "{folder}/store" model_platform: "tensorflow" '
        f"model_version_policy {{ {policy} }} }} }}"
    )
    (folder / "token").write_text("a token")
    (folder / "policy.yml").write_text(
        "exporters_file: exporters.yml\nprometheus_url: http://127.0.0.1:9\nalertmanager_urls: [http://127.0.0.1:9]\n"
        "webhook_token: {file: token}\naudit_key: {file: token}\njournal: journal.sqlite\n"
    )


def prune(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "airbag", "repo", "prune", "m", "--config.file", str(folder / "policy.yml")]
    return subprocess.run(
        [*command, *flags], capture_output=True, text=True, timeout=120, check=False,
        env={"COLUMNS": "200", "PATH": ""},
    )  # fmt: skip


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "store").iterdir())


def at_rest(folder: Path) -> None:
    """Let no version look as if it were still being written."""
    for each in (folder / "store").rglob("*"):
        os.utime(each, (1_700_000_000, 1_700_000_000))


def loaded(reader: Reader) -> dict[int, State]:
    return {status.version: status.state for status in reader.versions("m") if status.state is not State.END}


@pytest.mark.parametrize("policy", POLICIES)
def test_no_request_is_lost_and_only_the_right_folders_go(tmp_path: Path, policy: str) -> None:
    for version in range(1, 7):
        saved_models.add_model(tmp_path / "store", version, scale=version)
    at_rest(tmp_path)
    files_of(tmp_path, policy)
    with model_server.running(
        "--model_config_file_poll_wait_seconds=1", "--file_system_poll_wait_seconds=1",
        config_file=tmp_path / "models.config",
    ) as server:  # fmt: skip
        (tmp_path / "exporters.yml").write_text(
            f'servings:\n  - name: main\n    targets: [{{name: a, grpc: "{server.grpc_address}"}}]\n'
            "    model_config_file: models.config\n    models: [{name: m}]\n    retention: {keep_last: 1}\n"
        )
        with Reader(Endpoint(server.grpc_address)) as reader, Traffic(reader) as traffic:
            both = {5: State.AVAILABLE, 6: State.AVAILABLE}
            until(lambda: loaded(reader) == both, timeout=60, what="5 and 6 to be loaded")
            until(lambda: len(traffic.versions) > 20, timeout=60, what="some traffic")
            done = prune(tmp_path, "--yes")
            assert done.returncode == 0, done.stderr
            assert names(tmp_path) == ["5", "6"]
            after = len(traffic.versions)
            # A later version shows that the server has looked at the folder since.
            saved_models.add_model(tmp_path / "store", 7)
            file = ModelConfigFile(tmp_path / "models.config")
            if "specific" in policy:
                snapshot = file.read()
                file.replace(snapshot, edit_versions(snapshot.text, "m", (5, 6, 7)))
            until(lambda: reader.default_version("m") == 7, timeout=60, what="7 to answer")
            until(lambda: len(traffic.versions) > after + 20, timeout=60, what="more traffic")
        assert traffic.failures == []
        assert set(traffic.versions) <= {6, 7}


def test_a_version_that_gets_loaded_before_its_turn_stays(tmp_path: Path) -> None:
    """What is decided is decided again right before each removal."""
    for version in range(1, 5):
        saved_models.add_model(tmp_path / "store", version)
    at_rest(tmp_path)
    files_of(tmp_path, "specific { versions: 4 }")
    with model_server.running(
        "--model_config_file_poll_wait_seconds=1", config_file=tmp_path / "models.config"
    ) as server:
        (tmp_path / "exporters.yml").write_text(
            f'servings:\n  - name: main\n    targets: [{{name: a, grpc: "{server.grpc_address}"}}]\n'
            "    model_config_file: models.config\n    models: [{name: m}]\n    retention: {keep_last: 1}\n"
        )
        file = ModelConfigFile(tmp_path / "models.config")
        with file.locked():
            child = threading.Thread(target=lambda: found.append(prune(tmp_path, "--yes")))
            found: list[subprocess.CompletedProcess[str]] = []
            child.start()
            until(lambda: _waits_for(file), timeout=60, what="the prune to wait for models.config")
            snapshot = file.read()
            file.replace(snapshot, edit_versions(snapshot.text, "m", (4, 1)))
        child.join()
    [done] = found
    assert done.returncode == 0, done.stderr
    assert "stays after all: models.config asks for it" in done.stdout
    assert names(tmp_path) == ["1", "3", "4"]


def _waits_for(file: ModelConfigFile) -> bool:
    """Whether another process has the lock's file open."""
    lock = Path(f"{file.path}.lock").resolve()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.name != str(os.getpid()) and lock in [each.readlink() for each in (process / "fd").iterdir()]:
                return True
        except OSError:
            continue  # ended meanwhile, or somebody else's
    return False
