"""The surroundings of a receiver: fakes for what it talks to, and its files. In this process or as a real one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from prometheus_client import CollectorRegistry

from airbag.serving.model_config import ModelConfigFile, edit_versions
from airbag.serving.proto.tfs_pb2 import MetaGraphDef, SavedModel
from airbag_rollback.config import load_settings
from airbag_rollback.receiver import Receiver, assemble
from airbag_rollback.records import Action
from tests.fakes.alertmanager_api import FakeAlertmanager, alert, alertmanager, message
from tests.fakes.clock import SetClock
from tests.fakes.ports import free_port
from tests.fakes.prometheus_api import FakePrometheus, prometheus
from tests.fakes.serving_state import StatefulServing, stateful_serving
from tests.fakes.wait import until

TOKEN = "correct-horse-battery"
AUDIT_KEY = "a key that nobody else has"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
"""Those of Alertmanager, which may hand in alerts and nothing else."""

TOKENS = {"vera": "viewer-token-of-vera", "olga": "operator-token-of-olga", "anna": "admin-token-of-anna"}
"""People's tokens: vera views, olga operates, anna administers."""

VIEWER, OPERATOR, ADMIN = ({"Authorization": f"Bearer {token}"} for token in TOKENS.values())
ACCESS = ", ".join(
    f"{{name: {name}, role: {role}, token: {{file: token_{name}}}}}"
    for name, role in zip(TOKENS, ("viewer", "operator", "admin"), strict=True)
)

MODEL = SavedModel(
    meta_graphs=[MetaGraphDef(meta_info_def=MetaGraphDef.MetaInfoDef(tags=["serve"]))]
).SerializeToString()
"""As little as there is in the file of a complete model."""

MODELS_CONFIG = """\
# models of this server, edited by Airbag
model_config_list {{
  config {{
    name: "other"   # not ours to touch
    base_path: "{store}/other"
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: 7 }} }}
    version_labels {{ key: "stable" value: 7 }}
  }}
  config {{
    name: "digits"
    base_path: "{store}/digits"
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
  }}
}}
"""


@dataclass
class Surroundings:
    """Fakes and files. `policy` holds what differs from the file written by `write_policy`."""

    folder: Path
    prometheus: FakePrometheus
    alertmanager: FakeAlertmanager
    serving: StatefulServing
    policy: dict[str, str] = field(default_factory=dict)
    with_config_file: bool = True

    @property
    def models_config(self) -> Path:
        return self.folder / "models.config"

    @property
    def policy_file(self) -> Path:
        return self.folder / "policy.yml"

    def version_on_disk(self, version: int, model: str = "digits") -> Path:
        """A complete version folder in the model store."""
        folder = self.folder / "store" / model / str(version)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "saved_model.pb").write_bytes(MODEL)
        return folder

    def lay_out(self) -> None:
        """Write every file; version 2 of digits serves beside 1."""
        for version in (1, 2, 3):
            self.version_on_disk(version)
        self.version_on_disk(7, "other")
        self.models_config.write_text(MODELS_CONFIG.format(store=self.folder / "store"))
        self.serving.load(self.models_config.read_text())
        file = f"    model_config_file: {self.models_config}\n" if self.with_config_file else ""
        (self.folder / "exporters.yml").write_text(
            "servings:\n  - name: main\n"
            f'    targets: [{{name: one, grpc: "{self.serving.address}"}}]\n{file}'
            "    models: [{name: digits}, {name: other}]\n"
        )
        (self.folder / "token").write_text(TOKEN)
        (self.folder / "audit_key").write_text(AUDIT_KEY)
        for name, token in TOKENS.items():
            (self.folder / f"token_{name}").write_text(token)
        self.write_policy()

    def write_policy(self, **changes: str) -> None:
        """The policy with quick limits; keyword arguments replace its lines."""
        self.policy |= changes
        lines = {
            "exporters_file": "exporters.yml", "prometheus_url": self.prometheus.url,
            "alertmanager_urls": f"[{self.alertmanager.url}]", "webhook_token": "{file: token}",
            "journal": "journal/journal.sqlite", "audit_key": "{file: audit_key}", "mode": "auto",
            "access": f"{{tokens: [{ACCESS}]}}",
            "release_window": "1h", "soak_min": "1s",
            "decide_within": "30s", "switch_within": "60s", "stable_for": "1s", "recover_within": "60s",
        } | self.policy  # fmt: skip
        self.policy_file.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))

    def release(self, *versions: int) -> None:
        """Write the versions into models.config and load them, as a release by hand does."""
        file = ModelConfigFile(self.models_config)
        with file.locked():
            snapshot = file.read()
            file.replace(snapshot, edit_versions(snapshot.text, "digits", versions))
        self.serving.load(self.models_config.read_text())

    def named(self) -> tuple[int, ...]:
        """What models.config names for digits."""
        return ModelConfigFile(self.models_config).read().versions("digits")

    def bad_release(self) -> None:
        """What Prometheus says when version 3 fails and version 2 did well."""
        self.prometheus.errors(3, 0.9)
        self.prometheus.errors(2, 0.01, history=True)
        self.prometheus.errors(2, 0.01)


@contextmanager
def surroundings(folder: Path, *, with_config_file: bool = True) -> Iterator[Surroundings]:
    """Everything around a receiver, laid out and running."""
    with ExitStack() as stack:
        around = Surroundings(
            folder, stack.enter_context(prometheus()), stack.enter_context(alertmanager()),
            stack.enter_context(stateful_serving()), with_config_file=with_config_file,
        )  # fmt: skip
        around.lay_out()
        yield around


@dataclass
class Bench:
    """A receiver without threads: time is set and turns are taken by the test."""

    around: Surroundings
    receiver: Receiver
    clock: SetClock

    def post(self, *alerts: dict[str, Any]) -> None:
        """Deliver a message as the webhook does once it is checked."""
        self.receiver.journal.deliveries.accept(json.dumps(message(*alerts)).encode(), self.clock.now())

    def turn(self, times: int = 1) -> None:
        """Let the worker turn."""
        for _ in range(times):
            self.receiver.worker.turn()

    def settle(self) -> None:
        """Turn until nothing moves."""
        while self.receiver.worker.turn():
            pass

    def watch(self, seconds: float = 0.0) -> None:
        """Let time pass and look at what serves: now, at the end, and at least every ten seconds."""
        self.receiver.watcher.look_around()
        end = self.clock.time + seconds
        while self.clock.time < end:
            self.clock.time = min(end, self.clock.time + 10)
            self.receiver.watcher.look_around()

    def actions(self) -> list[Action]:
        """All actions, oldest first."""
        return self.receiver.journal.actions.latest()[::-1]

    def released(self) -> None:
        """Version 2 has proof and 3 was just released and serves."""
        self.watch(60)
        self.around.release(2, 3)
        self.watch(5)

    def run_until_ended(self, limit: int = 300) -> Action:
        """Seconds pass, with a turn in each, until no action is open; the last action."""
        for _ in range(limit):
            self.settle()
            if not self.receiver.journal.actions.open():
                return self.actions()[-1]
            self.watch(1)
        raise AssertionError(f"still open: {self.receiver.journal.actions.open()}")

    def restart(self) -> None:
        """End the receiver as a crash does and assemble a new one on the same files."""
        self.receiver.lookout.close()
        self.receiver.journal.close()
        self.receiver = _receiver(self.around, self.clock)
        self.receiver.worker.recover()


def _receiver(around: Surroundings, clock: SetClock) -> Receiver:
    return assemble(around.policy_file, load_settings(around.policy_file), CollectorRegistry(), clock)


@contextmanager
def bench(around: Surroundings) -> Iterator[Bench]:
    """A receiver in this process, closed at the end."""
    clock = SetClock()
    found = Bench(around, _receiver(around, clock), clock)
    try:
        yield found
    finally:
        found.receiver.lookout.close()
        found.receiver.journal.close()


@dataclass
class Process:
    """A real `airbag receiver`."""

    around: Surroundings
    process: subprocess.Popen[bytes]
    url: str

    def post(self, *alerts: dict[str, Any]) -> int:
        """Send a message; the status of the answer."""
        return requests.post(f"{self.url}/v1/alerts", json=message(*alerts), headers=HEADERS, timeout=10).status_code

    def get(self, path: str) -> Any:  # JSON of several shapes
        """What the API answers."""
        answer = requests.get(f"{self.url}{path}", headers=VIEWER, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def actions(self) -> list[dict[str, Any]]:
        """All actions, oldest first."""
        found: list[dict[str, Any]] = self.get("/v1/actions")["actions"]
        return found[::-1]

    def sees(self, *versions: int) -> bool:
        """Whether the ledger has these as what serves of digits."""
        models = self.get("/v1/serving")["models"]
        return any(each["model_name"] == "digits" and each["serves"] == list(versions) for each in models)

    def kill(self) -> None:
        """SIGKILL, as power loss or the kernel's memory killer end a process."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


@contextmanager
def process(around: Surroundings, policy_file: Path | None = None, failpoint: str = "") -> Iterator[Process]:
    """The receiver as a process of its own, answering; ended whatever happens."""
    port = free_port()
    command = [
        sys.executable, "-m", "airbag", "receiver", "--config.file", str(policy_file or around.policy_file),
        "--web.listen-address", f"127.0.0.1:{port}",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONWARNINGS": "default"} | ({"AIRBAG_FAILPOINT": failpoint} if failpoint else {})
    with (around.folder / "receiver.log").open("ab") as log:
        child = subprocess.Popen(command, stderr=log, stdout=log, env=environment)
    found = Process(around, child, f"http://127.0.0.1:{port}")
    try:
        until(lambda: requests.get(f"{found.url}/-/ready", timeout=1).ok, timeout=90, what="the receiver to be ready")
        yield found
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(10)


__all__ = [
    "HEADERS",
    "TOKEN",
    "Bench",
    "Process",
    "Surroundings",
    "alert",
    "bench",
    "message",
    "process",
    "surroundings",
]
