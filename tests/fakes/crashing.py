"""One cell of the crash matrix: a receiver that is killed at given places and started again, and what must hold then.

The receiver is the real one, a process of its own, killed with SIGKILL by its own failpoint. Around it are fakes that
speak the real protocols and outlive it. What brings alerts and orders behaves as Alertmanager and people do: it tries
again until it is answered with success, and tells the same again later.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import msgspec
import requests
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from airbag.serving.model_config import ModelConfigFile
from airbag_rollback.engine.states import ENDED, State
from airbag_rollback.journal.audit import START, mac
from airbag_rollback.records import Action
from tests.fakes.alertmanager_api import alert, alertmanager, message
from tests.fakes.nursery import Child, Nursery
from tests.fakes.ports import free_port
from tests.fakes.prometheus_api import prometheus
from tests.fakes.rollback import AUDIT_KEY, HEADERS, Surroundings, bench
from tests.fakes.serving_state import StatefulServing

OPERATOR = "an-operator-s-token"
BY_PERSON = {"Authorization": f"Bearer {OPERATOR}"}
_PROVEN = (1, 2)


Told = tuple[tuple[int, ...], int | None]
"""Versions of digits, and the one with the label `stable`."""


class RecordingServing(StatefulServing):
    """Keeps every configuration that it is sent, and how many intents were durable at that moment.

    `news` are the versions of digits and their label `stable` that it was told, without repetitions.
    """

    def __init__(self) -> None:
        super().__init__()
        self.journal: Path | None = None
        self.told: list[tuple[Any, int]] = []  # Any: official messages carry no types

    def keep(self, request: Any) -> None:
        """Take down a reload, once there is a journal."""
        if self.journal is not None:
            self.told.append((request.config, len(_rows(self.journal, "SELECT 1 FROM effects"))))

    def up(self) -> dict[int, int]:
        """Every version of digits that is known, with the number of its state."""
        return dict(self.models["digits"])

    @property
    def news(self) -> tuple[Told, ...]:
        told = []
        for config, _ in self.told:
            [entry] = [each for each in config.model_config_list.config if each.name == "digits"]
            versions = tuple(sorted(entry.model_version_policy.specific.versions))
            told.append((versions, entry.version_labels.get("stable", None) or None))
        return tuple(each for number, each in enumerate(told) if number == 0 or each != told[number - 1])

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self.keep(request)
        return super().HandleReloadConfigRequest(request, context)


@dataclass(frozen=True)
class Row:
    """A way through the state machine. `told` is what every server is told, one after the other.

    `serves` is what the receiver sees in the end. `arrange` changes the surroundings of a bad version 3 over good ones,
    `policy` the receiver's. `drive` is called again and again while the receiver runs; `repeat` once after the end: it
    says the same again and whether that was taken. `intents` is how many intents there are, where not as `told`.
    """

    name: str
    end: State
    told: tuple[Told, ...]
    serves: frozenset[int]
    policy: Mapping[str, str] = field(default_factory=dict)
    arrange: Callable[[Surroundings], None] = lambda _around: None
    drive: Callable[[Outside], None] = lambda outside: outside.tell()
    repeat: Callable[[Outside], bool] = lambda outside: outside.again()
    intents: int | None = None
    servers: int = 1
    routing: str = "default"

    @property
    def effects(self) -> int:
        """How many intents become durable in the whole."""
        return len(self.told) if self.intents is None else self.intents


@dataclass
class Outside:
    """Whoever speaks to the receiver: Alertmanager and people."""

    around: Surroundings
    url: str
    servers: Sequence[RecordingServing]
    told: bool = False
    asked: bool = False
    echoed: int = 0

    @property
    def journal(self) -> Path:
        return self.around.folder / "journal" / "journal.sqlite"

    def tell(self) -> None:
        """Bring the alert, again until it was taken."""
        if not self.told:
            self.told = self._post("/v1/alerts", message(alert()), HEADERS) == 202

    def again(self) -> bool:
        """Bring the alert once more; whether it was taken."""
        return self._post("/v1/alerts", message(alert()), HEADERS) == 202

    def echo(self, alertname: str) -> None:
        """Bring back what was posted under that name, as Alertmanager does with what asks for a rollback."""
        posted = [each for each in self.around.alertmanager.alerts if each["labels"]["alertname"] == alertname]
        for each in posted[self.echoed :]:
            if self._post("/v1/alerts", message(alert() | {"labels": each["labels"]}), HEADERS) != 202:
                return
            self.echoed += 1

    def order(self, path: str, body: dict[str, Any]) -> int | None:
        """What a person's order is answered with; None when nothing answers."""
        return self._post(path, body, BY_PERSON)

    def actions(self) -> list[Action]:
        """All actions, oldest first."""
        return [msgspec.json.decode(row, type=Action) for (row,) in _rows(self.journal, "SELECT document FROM actions")]

    def _post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> int | None:
        try:
            return requests.post(f"{self.url}{path}", json=body, headers=headers, timeout=5).status_code
        except requests.RequestException:
            return None


@dataclass(frozen=True)
class Outcome:
    """`crashed` tells for each place whether the process died there. `reached` is what the last process came by."""

    crashed: tuple[bool, ...]
    violations: tuple[str, ...]
    reached: tuple[str, ...]
    left: tuple[object, ...]
    """What the first crash left behind for the next process to find: the same leads to the same recovery."""


def proven_journal(folder: Path) -> Path:
    """A journal in which versions 1 and 2 served well and 3 was just released. It can be copied into any cell."""
    with _surroundings(folder, None) as around, bench(around) as desk:
        desk.clock.time = time.time() - 200
        around.release(1)
        desk.watch(30)
        around.release(1, 2)
        desk.watch(30)
        around.release(2, 3)
        desk.watch(5)
    return folder / "journal"


def run(
    row: Row, crashes: Sequence[str], folder: Path, children: Nursery, proven: Path,
    server: RecordingServing | None = None,
) -> Outcome:  # fmt: skip
    """Start a receiver for each place of `crashes`, each killed there, then one that goes on to the end.

    A `server` that runs already takes the place of a new one.
    """
    if server is not None:
        server.journal, server.told = None, []
    with _surroundings(folder, row, server) as around, _beside(around, row.servers) as servers:
        around.release(2, 3)
        around.bad_release()
        row.arrange(around)
        for server in servers:
            server.load(around.models_config.read_text())
        for path in (folder / "store").rglob("*"):  # versions that were copied long ago
            os.utime(path, (time.time() - 3600,) * 2)
        shutil.copytree(proven, folder / "journal")
        before = around.models_config.read_text()
        port = free_port()
        outside = Outside(around, f"http://127.0.0.1:{port}", servers)
        for server in servers:
            server.journal = outside.journal
        crashed, violations, left = [], [], ()
        for number, places in enumerate(crashes):
            child = _start(children, around, port, f"kill:{places}")
            try:
                crashed.append(_until_dead(child, row, outside))
            finally:
                child.kill()
            violations += [f"after crash {number + 1}: {each}" for each in _always(outside, row, before, number + 1)]
            left = left or _left(outside)
        record = folder / "reached"
        child = _start(children, around, port, f"record:{record}")
        try:
            violations += _to_the_end(child, row, outside)
        finally:
            child.kill()
        violations += [*_always(outside, row, before, len(crashes) + 1), *_at_the_end(outside, row)]
        reached = record.read_text().splitlines() if record.exists() else ()  # it may have found nothing left to do
        return Outcome(tuple(crashed), tuple(violations), tuple(reached), left)


def _start(children: Nursery, around: Surroundings, port: int, failpoint: str) -> Child:
    arguments = ["receiver", "--config.file", str(around.policy_file), "--web.listen-address", f"127.0.0.1:{port}"]
    return children.start(arguments, around.folder / "receiver.log", {"AIRBAG_FAILPOINT": failpoint})


def _until_dead(child: Child, row: Row, outside: Outside, limit: float = 60.0) -> bool:
    """Whether it died by itself before everything was over."""
    end, quiet_since = time.monotonic() + limit, 0.0
    while child.alive:
        row.drive(outside)
        now = time.monotonic()
        if now > end:
            return False
        if not _quiet(outside, row):
            quiet_since = 0.0
        elif not quiet_since:
            quiet_since = now
        elif now - quiet_since > 2.5:  # the watcher has looked again by then
            return False
        elif not outside.asked:
            outside.asked = row.repeat(outside)  # the second report of the same belongs to every run
        time.sleep(0.01)
    return True


def _to_the_end(child: Child, row: Row, outside: Outside, limit: float = 120.0) -> list[str]:
    end = time.monotonic() + limit
    while not _quiet(outside, row):
        row.drive(outside)
        if not child.alive:
            return ["the receiver ended by itself"]
        if time.monotonic() > end:
            stands = "; ".join(f"{each.id} {each.state} {each.reason}: {each.text}" for each in outside.actions())
            return [f"I8: not over after {limit:g} s: {stands or 'no action'}"]
        time.sleep(0.01)
    while not row.repeat(outside):
        if time.monotonic() > end:
            return ["the same alert again was not taken"]
        time.sleep(0.01)
    while not _quiet(outside, row):
        if time.monotonic() > end:
            return ["the same alert again does not come to rest"]
        time.sleep(0.01)
    return []


def _quiet(outside: Outside, row: Row) -> bool:
    """Whether all that came is dealt with, told, and what serves is noted."""
    open_work = (
        "SELECT (SELECT count(*) FROM deliveries WHERE admitted_at IS NULL), "
        "(SELECT count(*) FROM outbox WHERE delivered_at IS NULL), "
        "(SELECT serves FROM models WHERE model_name = 'digits')"
    )
    try:
        ((waiting, untold, serves),) = _rows(outside.journal, open_work)
        actions = outside.actions()
    except sqlite3.Error:
        return False
    seen = frozenset(msgspec.json.decode(serves)) == row.serves
    return not waiting and not untold and seen and bool(actions) and all(each.state in ENDED for each in actions)


def _left(outside: Outside) -> tuple[object, ...]:
    """All that the next process can know, without times and numbers of writes."""
    actions = tuple((each.id, each.state, each.attempt, each.step, each.approved_by) for each in outside.actions())
    counts = _rows(
        outside.journal,
        "SELECT (SELECT count(*) FROM deliveries WHERE admitted_at IS NULL), "
        "(SELECT count(*) FROM outbox WHERE delivered_at IS NULL), (SELECT count(*) FROM effects), "
        "(SELECT group_concat(model_name || epoch || serves) FROM models)",
    )
    serving = tuple((tuple(sorted(each.up().items())), each.news) for each in outside.servers)
    files = tuple(sorted(path.name.rstrip("0123456789") for path in outside.around.folder.glob("models.config*")))
    return actions, tuple(counts), outside.around.named(), serving, files, outside.told


def _always(outside: Outside, row: Row, before: str, starts: int) -> Iterator[str]:
    """What must hold whenever nobody writes, however the last process ended."""
    around, journal = outside.around, outside.journal
    yield from _chain(journal)
    effects = _rows(journal, "SELECT action_id, target, fence FROM effects ORDER BY id")
    armed = _rows(journal, "SELECT count(*) FROM audit WHERE json_extract(record, '$.after') = 'ARMED'")[0][0]
    written = ModelConfigFile(around.models_config).read().generation - _generation(before)
    # Whoever comes after a crash puts its own fence into the file, and nothing else.
    if len(effects) > armed or written > (len(effects) + starts - 1 if row.told else 0):
        yield f"I2: {written} writes of models.config, {armed} times armed, the intents {effects}"
    if len({(action, target) for action, target, _ in effects}) != len(effects) or len(effects) > row.effects:
        yield f"I1: the intents {effects}"
    for server in outside.servers:
        if any(not intents for _, intents in server.told):
            yield "I2: the server was told before any intent was durable"
        if server.news != row.told[: len(server.news)] or len(server.news) > len(effects):
            yield f"I1: the server was told {server.news} with the intents {effects}"
        meant = _other(_parsed(before))
        if any(_other(config) != meant for config, _ in server.told):
            yield "I12: another model was told to be another"
    [digits] = [each for each in _parsed(before).model_config_list.config if each.name == "digits"]
    released = tuple(digits.model_version_policy.specific.versions)
    if around.named() not in [released, *(versions for versions, _ in row.told[: len(effects)])]:
        yield f"I1: models.config names {around.named()} with the intents {effects}"
    fences = [fence for *_, fence in effects]
    if fences != sorted(fences):
        yield f"I4: the fences {fences}"
    if any(target is not None and target not in _PROVEN for _, target, _ in effects):
        yield f"I5: the targets of {effects}"
    if any(not each.deadline for each in outside.actions() if each.state not in ENDED):
        yield "I8: an open action without a deadline"
    if before.partition("config {")[2].partition("config {")[0] not in around.models_config.read_text():
        yield "I12: another model's text in models.config was changed"


def _at_the_end(outside: Outside, row: Row) -> Iterator[str]:
    around, journal = outside.around, outside.journal
    actions = outside.actions()
    if [each.state for each in actions] != [row.end]:
        stand = [(str(each.state), each.reason, each.text) for each in actions]
        yield f"I1: one action at {row.end} was meant, there are {stand}"
    for server in outside.servers:
        if server.news != row.told:
            yield f"I1: the server was told {server.news}"
    if row.told and around.named() != row.told[-1][0]:
        yield f"models.config names {around.named()}"
    effects = _rows(journal, "SELECT action_id, target FROM effects")
    if len(effects) != row.effects:
        yield f"I1: the intents {effects}"
    told = {each["labels"].get("action_id") for each in around.alertmanager.alerts}
    for action in actions:
        ends = _rows(
            journal, "SELECT record FROM audit WHERE action_id = ? AND json_extract(record, '$.after') = ?",
            action.id, action.state,
        )  # fmt: skip
        if len(ends) != 1:
            yield f"I9: action {action.id} has {len(ends)} records of its end"
        if str(action.id) not in told:
            yield f"I9: nobody was told of action {action.id}"


def _chain(journal: Path) -> Iterator[str]:
    before = START
    for number, (seq, record, found) in enumerate(_rows(journal, "SELECT seq, record, mac FROM audit ORDER BY seq")):
        before = mac(AUDIT_KEY.encode(), before, record)
        if (seq, found) != (number + 1, before):
            yield f"I11: record {seq} of the audit"
            return


def _parsed(text: str) -> Any:  # official messages carry no types
    return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())


def _other(config: Any) -> bytes:  # Any: official messages carry no types
    [found] = [each for each in config.model_config_list.config if each.name == "other"]
    return bytes(found.SerializeToString(deterministic=True))


def _generation(text: str) -> int:
    return int(text.split()[3])


def _rows(journal: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=5)) as connection:
        return connection.execute(query, values).fetchall()


@contextmanager
def _surroundings(folder: Path, row: Row | None, server: RecordingServing | None = None) -> Iterator[Surroundings]:
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        serving = server or RecordingServing()
        if server is None:
            serving.start()
            held.callback(serving.die)
        around = Surroundings(
            folder, held.enter_context(prometheus()), held.enter_context(alertmanager()), serving,
            {
                "access": "{tokens: [{name: anna, role: operator, token: {file: operator}}]}",
                "stable_for": "100ms", "guards": "{cool_down: 0s}", **(row.policy if row else {}),
            },
        )  # fmt: skip
        (folder / "operator").write_text(OPERATOR)
        around.lay_out()
        if row is not None:
            exporters = folder / "exporters.yml"
            exporters.write_text(exporters.read_text().replace("name: digits", f"name: digits, routing: {row.routing}"))
        yield around


@contextmanager
def _beside(around: Surroundings, count: int) -> Iterator[tuple[RecordingServing, ...]]:
    """So many servers in the group: the one that is there, and more of its kind."""
    first = around.serving
    assert isinstance(first, RecordingServing)
    with ExitStack() as held:
        more = [RecordingServing() for _ in range(count - 1)]
        targets = [f'{{name: one, grpc: "{first.address}"}}']
        for number, server in enumerate(more):
            server.start()
            held.callback(server.die)
            targets.append(f'{{name: server{number}, grpc: "{server.address}"}}')
        exporters = around.folder / "exporters.yml"
        exporters.write_text(exporters.read_text().replace(f"[{targets[0]}]", f"[{', '.join(targets)}]"))
        yield (first, *more)
