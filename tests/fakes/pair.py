"""Two real Alertmanagers that know each other, in front of a real receiver; who posts to them does it as Prometheus."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import msgspec
import requests

from airbag.serving.model_config import ModelConfigFile
from airbag_demo.processes import Processes
from airbag_rollback.records import Action
from tests.fakes.http_server import serving_http
from tests.fakes.nursery import Child, Nursery, nursery
from tests.fakes.ports import free_port
from tests.fakes.real_alertmanager import BAD, NOTES, Alertmanager, alertmanager, configuration
from tests.fakes.rollback import Surroundings, surroundings
from tests.fakes.wait import until
from tests.fakes.webhooks import webhooks

PEER_TIMEOUT = 2.0


@dataclass
class Relay:
    """The way from both Alertmanagers to the receiver. While `holds_firing` it answers 200 to messages with a firing
    alert and keeps them, as a queue in between may; `let_go` passes them on, after whatever came later.
    """

    target: str
    address: str = ""
    holds_firing: bool = False
    held: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answered: list[tuple[float, int, bytes]] = field(default_factory=list)

    def passed_on(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """The receiver's answer; 503 when it is not there."""
        try:
            code = requests.post(f"http://{self.target}{path}", data=body, headers=headers, timeout=30).status_code
        except requests.RequestException:
            code = 503
        self.answered.append((time.monotonic(), code, body))
        return code

    def let_go(self) -> None:
        """Deliver what was held."""
        self.holds_firing = False
        for each in self.held:
            assert self.passed_on(*each) == 202
        self.held.clear()

    def statuses(self, version: int, code: int = 202) -> list[str]:
        """`firing` or `resolved` of each message about that version that was answered so, in order."""
        found = [json.loads(body) for _, answer, body in list(self.answered) if answer == code]
        return [
            each["status"]
            for each in found
            if any(a["labels"].get("model_version") == str(version) for a in each["alerts"])
        ]


@contextmanager
def _relay(target: str) -> Iterator[Relay]:
    here = Relay(target)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name: self.headers[name] for name in ("Authorization", "Content-Type")}
            if here.holds_firing and json.loads(body)["status"] == "firing":
                here.held.append((self.path, headers, body))
                code = 200
            else:
                code = here.passed_on(self.path, headers, body)
            self.send_response(code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with serving_http(Handler) as port:
        here.address = f"127.0.0.1:{port}"
        yield here


@dataclass
class Prometheus:
    """Posts an alert to every Alertmanager again and again while it fires, as Prometheus does.

    With `restamps` every post says that the alert began just now, as a Prometheus does that was restarted.
    """

    pair: tuple[Alertmanager, ...]
    labels: dict[str, str]
    every: float = 1.0
    restamps: bool = False
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Prometheus:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        began = datetime.now(UTC)
        while not self._ended.is_set():
            if self.restamps:
                began = datetime.now(UTC)
            self.post(began)
            self._ended.wait(self.every)

    def post(self, began: datetime, ended: datetime | None = None) -> None:
        """One round; whoever is away is left out."""
        told: dict[str, Any] = {"labels": self.labels, "annotations": NOTES, "startsAt": began.isoformat()}
        if ended is not None:
            told["endsAt"] = ended.isoformat()
        for each in self.pair:
            try:
                each.post(told)
            except requests.RequestException:
                continue


@dataclass
class Place:
    """The pair, the receiver behind it and what surrounds that. Version 2 is proven; others are released as bad."""

    around: Surroundings
    pair: tuple[Alertmanager, Alertmanager]
    processes: Processes
    relay: Relay
    children: Nursery
    receiver: Child | None = None

    def start_receiver(self) -> None:
        """A new process on the same files."""
        arguments = [
            "receiver", "--config.file", str(self.around.policy_file), "--web.listen-address", self.relay.target,
        ]  # fmt: skip
        self.receiver = self.children.start(arguments, self.around.folder / "receiver.log", {})
        url = f"http://{self.relay.target}/-/ready"
        until(lambda: requests.get(url, timeout=1).ok, timeout=30, what="the receiver to be ready")

    def kill_receiver(self) -> None:
        """SIGKILL."""
        if self.receiver is not None:
            self.receiver.kill()
            self.receiver = None

    def fault(self, version: int, *, restamps: bool = False) -> Prometheus:
        """A Prometheus that calls that version bad; it does so while its block lasts."""
        return Prometheus(self.pair, BAD | {"model_version": str(version)}, restamps=restamps)

    def release(self, version: int) -> None:
        """Serve a version that Prometheus calls bad, and wait until the receiver knows it, if there is one."""
        self.around.version_on_disk(version)
        self.around.release(2, version)
        self.around.serving.switches.clear()
        self.around.prometheus.errors(version, 0.9)
        self.around.prometheus.errors(2, 0.01)
        self.around.prometheus.errors(2, 0.01, history=True)
        if self.receiver is not None:
            seen = "SELECT serves FROM models WHERE model_name = 'digits'"
            until(lambda: self.rows(seen) == [(f"[{version}]",)], timeout=30, what=f"the ledger to see {version}")

    def actions(self, version: int) -> list[Action]:
        """What the journal holds about that version, oldest first."""
        rows = self.rows("SELECT document FROM actions ORDER BY id")
        found = [msgspec.json.decode(row, type=Action) for (row,) in rows]
        return [each for each in found if each.bad_version == version]

    def effects(self, version: int) -> list[int | None]:
        """The targets of all effects on account of that version."""
        ids = [each.id for each in self.actions(version)]
        return [target for action, target in self.rows("SELECT action_id, target FROM effects") if action in ids]

    def generation(self) -> int:
        """How often models.config was written."""
        return ModelConfigFile(self.around.models_config).read().generation

    def ended(self, version: int) -> bool:
        """Whether its rollback succeeded."""
        return any(each.state == "SUCCEEDED" for each in self.actions(version))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the journal answers."""
        path = self.around.folder / "journal" / "journal.sqlite"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
            return connection.execute(query).fetchall()

    def settled(self) -> bool:
        """Whether both Alertmanagers see each other."""
        found = [each.get("status")["cluster"] for each in self.pair]
        return all(each["status"] == "ready" and len(each["peers"]) == 2 for each in found)


@contextmanager
def place(folder: Path) -> Iterator[Place]:
    """Everything running, with version 2 proven; ended with the block."""
    doors = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    with ExitStack() as held:
        around = held.enter_context(surroundings(folder))
        relay = held.enter_context(_relay(f"127.0.0.1:{free_port()}"))
        people = held.enter_context(webhooks())
        processes = held.enter_context(Processes(folder))
        tokens = {"receiver:9815": relay.address, "people:9820": people.address}
        config = configuration(folder, tokens)
        one, two = (
            alertmanager(
                config, name=name,
                flags=[
                    f"--cluster.listen-address={own}", f"--cluster.peer={other}",
                    f"--cluster.peer-timeout={PEER_TIMEOUT:g}s",
                ],
            )
            for name, own, other in (("one", *doors), ("two", *reversed(doors)))
        )  # fmt: skip
        for each in (one, two):
            processes.start(each.program)
        (folder / "token").write_text((folder / "airbag_webhook_token").read_text())
        around.write_policy(
            alertmanager_urls=f"[{one.url}, {two.url}]", soak_min="200ms", stable_for="200ms",
            guards="{cool_down: 0s, budget: null, breaker: null}",
        )  # fmt: skip
        here = Place(around, (one, two), processes, relay, held.enter_context(nursery()))
        held.callback(here.kill_receiver)
        here.start_receiver()
        until(lambda: here.rows("SELECT 1 FROM ledger WHERE version = 2"), timeout=30, what="the ledger to see 2")
        processes.wait_ready()
        until(here.settled, timeout=60, what="a pair that has settled")
        yield here
