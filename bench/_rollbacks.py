"""A real receiver and the local model server with real SavedModels, for rollbacks one after the other.

What Prometheus would say is set: version 3 fails nine requests in ten, version 2 one in a hundred. Every model has
version 2 loaded beside 3 when 3 is accused, and the label stable moves with each release.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from airbag.serving import control
from airbag.serving.model_config import ModelConfigFile, edit_versions
from airbag.serving.reader import Reader
from airbag.serving.values import Endpoint, State
from tests.fakes import model_server, saved_models
from tests.fakes.alertmanager_api import alert, alertmanager, message
from tests.fakes.model_server import ModelServer
from tests.fakes.ports import free_port
from tests.fakes.prometheus_api import FakePrometheus, prometheus
from tests.fakes.wait import until

GOOD, BAD, LABEL = 2, 3, "stable"
# Else two cores give gRPC eight threads, and a busy machine refuses requests and reloads by RESOURCE_EXHAUSTED.
_FLAGS = ("--allow_version_labels_for_unavailable_models", "--grpc_max_threads=64", "--rest_api_num_threads=64")
_TOKENS = {"token": "correct-horse-battery", "operator": "staple-of-the-operators", "audit_key": "nobody else has it"}


@dataclass
class Stage:
    """The running parts. All times are seconds since the epoch."""

    folder: Path
    server: ModelServer
    receiver: str
    reader: Reader
    by_label: bool = False

    def release(self, model: str) -> None:
        """Put the bad version live beside the good one, move the label, and wait until the receiver has seen it."""
        self._configure(model, (GOOD, BAD), GOOD)
        until(lambda: BAD in self._available(model), timeout=120, what=f"{model} {BAD} to load")
        self._configure(model, (GOOD, BAD), BAD)
        until(lambda: self.seen(model, BAD), timeout=120, every=0.1, what=f"the receiver to see {model} {BAD}")

    def withdraw(self, model: str) -> None:
        """Take the bad version out by hand, and wait until the receiver has seen that."""
        self._configure(model, (GOOD, BAD), GOOD)
        self._configure(model, (GOOD,), GOOD)
        until(lambda: self.seen(model, GOOD), timeout=120, every=0.1, what=f"the receiver to see {model} {GOOD}")

    def accuse(self, model: str) -> float:
        """Post the alert; when the post began."""
        body = message(alert(BAD, model=model))
        headers = {"Authorization": f"Bearer {_TOKENS['token']}"}
        at = time.time()
        answer = requests.post(f"{self.receiver}/v1/alerts", json=body, headers=headers, timeout=30)
        answer.raise_for_status()
        return at

    def switched(self, model: str, every: float = 0.01, timeout: float = 120.0) -> float:
        """When clients, by default or by the label, got the good version."""

        def answers() -> int | None:
            if self.by_label:
                return self.reader.label_version(model, LABEL, 30)
            return self.reader.default_version(model, 30)

        until(lambda: answers() == GOOD, timeout=timeout, every=every, what=f"{model} back")
        return time.time()

    def action(self, model: str, since: float) -> dict[str, Any]:  # Any: JSON
        """The model's latest action, once it has switched or ended; it is younger than `since`."""

        def found() -> dict[str, Any] | None:
            actions = self._get("/v1/actions?limit=200")["actions"]
            mine = [each for each in actions if each["model_name"] == model and (each["received_at"] or 0) >= since]
            done = [each for each in mine if each["ended_at"] or each["state"] == "VERIFY_OUTCOME"]
            return done[0] if done else None

        return until(found, timeout=180, every=0.1, what=f"the action on {model}")

    def ended(self, action: dict[str, Any]) -> dict[str, Any]:
        """The action when it has ended."""

        def found() -> dict[str, Any] | None:
            (now,) = [each for each in self._get("/v1/actions?limit=200")["actions"] if each["id"] == action["id"]]
            return now if now["ended_at"] else None

        return until(found, timeout=180, every=0.25, what=f"action {action['id']} to end")

    def seen(self, model: str, version: int) -> bool:
        """Whether the receiver has taken down that this version serves."""
        models = self._get("/v1/serving")["models"]
        return any(each["model_name"] == model and each["serves"] == [version] for each in models)

    def _configure(self, model: str, versions: Sequence[int], stable: int) -> None:
        """As Airbag does: under the file's lock, the file first, then the server."""
        file = ModelConfigFile(self.folder / "models.config")
        with file.locked(60):
            now = file.read()
            after = file.replace(now, edit_versions(now.text, model, versions, labels={LABEL: stable}))
            control.reload(self.reader.endpoint, after.config, timeout=60)

    def _available(self, model: str) -> set[int]:
        return {each.version for each in self.reader.versions(model, 30) if each.state is State.AVAILABLE}

    def _get(self, path: str) -> Any:  # JSON
        headers = {"Authorization": f"Bearer {_TOKENS['operator']}"}
        answer = requests.get(self.receiver + path, headers=headers, timeout=60)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def stage(models: Sequence[str], *, by_label: bool = False) -> Iterator[Stage]:
    """All of it on free ports in a new folder, ended whatever happens; version 2 of every model has some proof.

    With `by_label` clients ask for the label, and the landing is serving-label.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="airbag-bench-")))
        _publish(folder, models)
        server = stack.enter_context(model_server.running(*_FLAGS, config_file=folder / "models.config", timeout=120))
        told, people = stack.enter_context(prometheus()), stack.enter_context(alertmanager())
        _say_bad(told)
        _configure(folder, models, server, told.url, people.url, by_label=by_label)
        receiver = stack.enter_context(_receiver(folder))
        reader = stack.enter_context(Reader(Endpoint(server.grpc_address)))
        found = Stage(folder, server, receiver, reader, by_label)
        until(lambda: all(found.seen(model, GOOD) for model in models), timeout=120, what="the receiver to see all")
        time.sleep(5)  # the proof that soak_min asks for
        yield found


def _publish(folder: Path, models: Sequence[str]) -> None:
    entries = []
    for model in models:
        for version in (GOOD, BAD):
            saved_models.add_model(folder / "store" / model, version, scale=float(version))
        entries.append(
            f'  config {{\n    name: "{model}"\n    base_path: "{folder}/store/{model}"\n'
            f'    model_platform: "tensorflow"\n    model_version_policy {{ specific {{ versions: {GOOD} }} }}\n'
            f'    version_labels {{ key: "{LABEL}" value: {GOOD} }}\n  }}\n'
        )
    (folder / "models.config").write_text("model_config_list {\n" + "".join(entries) + "}\n")


def _say_bad(told: FakePrometheus) -> None:
    told.errors(BAD, 0.9)
    told.errors(GOOD, 0.01)
    told.errors(GOOD, 0.01, history=True)


def _configure(
    folder: Path, models: Sequence[str], server: ModelServer, told: str, people: str, *, by_label: bool
) -> None:
    how = f", routing: labels, labels: [{LABEL}]" if by_label else ""
    listed = ", ".join(f"{{name: {model}{how}}}" for model in models)
    (folder / "exporters.yml").write_text(
        f'servings:\n  - name: main\n    targets: [{{name: one, grpc: "{server.grpc_address}"}}]\n'
        f"    model_config_file: {folder}/models.config\n    models: [{listed}]\n"
    )
    for name, secret in _TOKENS.items():
        (folder / name).write_text(secret)
    lines = {
        "exporters_file": "exporters.yml", "prometheus_url": told, "alertmanager_urls": f"[{people}]",
        "webhook_token": "{file: token}", "journal": "journal/journal.sqlite", "audit_key": "{file: audit_key}",
        "access": "{tokens: [{name: bench, role: operator, token: {file: operator}}]}", "mode": "auto",
        "guards": "{cool_down: 0s, budget: null, breaker: null}", "release_window": "1h", "soak_min": "1s",
        "stable_for": "500ms", "switch_within": "120s", "recover_within": "120s", "watchdog_within": "0s",
        "landing": "serving-label" if by_label else "serving-version",
    }  # fmt: skip
    (folder / "policy.yml").write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))


@contextmanager
def _receiver(folder: Path) -> Iterator[str]:
    port = free_port()
    command = [
        sys.executable, "-m", "airbag", "receiver", "--config.file", str(folder / "policy.yml"),
        "--web.listen-address", f"127.0.0.1:{port}",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with (folder / "receiver.log").open("wb") as log:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        until(lambda: requests.get(f"{url}/-/ready", timeout=2).ok, timeout=60, what="the receiver to be ready")
        yield url
    except BaseException:
        sys.stderr.write((folder / "receiver.log").read_text()[-4000:])
        raise
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(10)


@contextmanager
def clients(at: Stage, rate: float, models: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Traffic while the block lasts; what came of it is in the dictionary afterwards."""
    command = [
        sys.executable, "-m", "bench._clients", at.server.grpc_address, at.server.rest_url.removeprefix("http://"),
        str(rate), *models,
    ]  # fmt: skip
    found: dict[str, Any] = {}
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1], env=dict(os.environ)
    )
    try:
        yield found
        output, _ = child.communicate(timeout=60)
        found.update(json.loads(output))
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
            child.wait(10)
