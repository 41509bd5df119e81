"""Entries of a real Redis stream are counted once, whoever of a group has them, and whatever happens to Redis."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis
from prometheus_client import CollectorRegistry

from airbag.clock import SystemClock
from airbag_exporters.config import Streams
from airbag_exporters.quality.intake.metrics import IntakeMetrics, Source
from airbag_exporters.quality.intake.taker import Kind
from airbag_exporters.quality.sources.group import Group
from airbag_exporters.quality.sources.streams import CLAIM_AFTER, StreamSource
from airbag_exporters.quality.sources.told import SourceMetrics, Told
from tests.exporters.quality.source_ledger import SqliteTaker, line, lines
from tests.fakes.binaries import ROOT
from tests.fakes.redis_server import RedisServer, redis_server
from tests.fakes.wait import until

STREAM, GROUP = "airbag:events", "airbag"


@dataclass
class Consumer:
    """What a source counts that reads as `name`, in this process."""

    server: RedisServer
    folder: Path
    name: str = "one"
    claim_after: float = CLAIM_AFTER
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.taker = SqliteTaker(self.folder / f"{self.name}.db")

    @contextmanager
    def running(self) -> Iterator[Consumer]:
        self.registry, stop, clock = CollectorRegistry(), threading.Event(), SystemClock()
        told = Told(Source.STREAM, STREAM, SourceMetrics(self.registry), IntakeMetrics(self.registry), clock)
        config = Streams.model_validate({"url": self.server.url})
        source = StreamSource(
            STREAM, self.name, lambda: Group(config, self.name), self.taker, told, stop, clock, self.claim_after
        )
        thread = threading.Thread(target=source.run)
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            thread.join(60)
            assert not thread.is_alive()

    def counts(self, *numbers: int, kind: str = "predictions") -> None:
        """Wait until exactly these were counted, in order."""
        until(lambda: self.taker.numbers(kind) == [*numbers], timeout=60, what=f"{numbers} in the ledger")

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def client(shared: RedisServer) -> Iterator[redis.Redis]:
    with shared.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def consumer(shared: RedisServer, client: redis.Redis, tmp_path: Path) -> Consumer:
    return Consumer(shared, tmp_path)


def add(client: redis.Redis, data: bytes, kind: str = "predictions") -> str:
    return client.xadd(STREAM, {"kind": kind, "data": data}).decode()


def pending(client: redis.Redis) -> int:
    return int(client.xpending(STREAM, GROUP)["pending"])


def is_confirmed(client: redis.Redis) -> None:
    until(lambda: pending(client) == 0, timeout=60, what="every entry confirmed")


def rejected(client: redis.Redis) -> list[dict[str, str]]:
    return [
        {name.decode(): value.decode(errors="replace") for name, value in fields.items()}
        for _, fields in client.xrange(f"{STREAM}:rejected")
    ]


def test_entries_are_counted_in_order_and_confirmed(consumer: Consumer, client: redis.Redis) -> None:
    add(client, lines(1, 2))
    with consumer.running():
        consumer.counts(1, 2)
        add(client, line(3).strip())
        add(client, lines(7, 8), kind="labels")
        add(client, lines(4))
        consumer.counts(1, 2, 3, 4)
        consumer.counts(7, 8, kind="labels")
        is_confirmed(client)
        assert consumer.metric("airbag_quality_events_total", source="stream", kind="labels") == 2
        until(lambda: consumer.metric("airbag_quality_stream_lag_entries", stream=STREAM) == 0, timeout=60)
        assert consumer.metric("airbag_quality_stream_pending_entries", stream=STREAM) == 0


def test_two_consumers_share_the_entries(consumer: Consumer, client: redis.Redis, tmp_path: Path) -> None:
    other = Consumer(consumer.server, tmp_path, "two")
    with consumer.running(), other.running():
        for number in range(200):
            add(client, line(number))
        both = lambda: sorted(consumer.taker.numbers() + other.taker.numbers())  # noqa: E731
        until(lambda: both() == [*range(200)], timeout=60)
        is_confirmed(client)


def test_entries_that_make_no_sense_are_set_aside_whole(consumer: Consumer, client: redis.Redis) -> None:
    client.xadd(STREAM, {"data": line(1)})
    client.xadd(STREAM, {"kind": "predictions"})
    client.xadd(STREAM, {"kind": "guesses", "data": line(2)})
    client.xadd(STREAM, {"kind": b"\xff", "data": line(2)})
    add(client, lines(3))
    with consumer.running():
        consumer.counts(3)
        is_confirmed(client)
        assert consumer.metric("airbag_quality_rejected_lines_total", source="stream") == 4
    assert [each["reason"] for each in rejected(client)] == [
        "has no field kind",
        "has no field data",
        "has the kind b'guesses'; known: predictions, labels, pipeline-runs",
        "has the kind b'\\xff'; known: predictions, labels, pipeline-runs",
    ]
    assert rejected(client)[2]["data"] == '{"n": 2}\n'


def test_refused_lines_are_set_aside_and_the_good_ones_around_them_counted_once(
    consumer: Consumer, client: redis.Redis
) -> None:
    first = add(client, lines(1) + b"{\n" + lines(2))
    add(client, b"nonsense\n")
    add(client, lines(3))
    with consumer.running():
        consumer.counts(1, 2, 3)
        is_confirmed(client)
        add(client, b"nonsense")
        until(lambda: len(rejected(client)) == 3, timeout=60)
        is_confirmed(client)
    assert [each["data"] for each in rejected(client)] == ["{", "nonsense", "nonsense"]
    assert rejected(client)[0] | {"reason": ""} == {"kind": "predictions", "data": "{", "id": first, "reason": ""}
    assert consumer.taker.numbers() == [1, 2, 3]


def test_what_was_counted_and_not_confirmed_is_not_counted_again(consumer: Consumer, client: redis.Redis) -> None:
    """The moment between commit and confirmation, at which a process may be killed."""
    ids = [add(client, lines(1)), add(client, lines(2, 3)), add(client, lines(4))]
    client.xgroup_create(STREAM, GROUP, id="0")
    client.xreadgroup(GROUP, "one", {STREAM: ">"})
    done = json.dumps({"done": ids[:1], "current": ids[1], "lines": 1})
    consumer.taker.take(Kind.PREDICTIONS, lines(1, 2), "", {"stream:one": done})
    with consumer.running():
        consumer.counts(1, 2, 3, 4)
        is_confirmed(client)


def test_an_entry_that_is_counted_in_part_is_finished_before_any_other(consumer: Consumer, client: redis.Redis) -> None:
    """Another batch would put its own cursor in the place of the one that knows of that part."""
    ids = [add(client, lines(1)), add(client, lines(2, 3))]
    client.xgroup_create(STREAM, GROUP, id="0")
    client.xreadgroup(GROUP, "one", {STREAM: ">"})
    done = json.dumps({"done": [], "current": ids[1], "lines": 1})
    consumer.taker.take(Kind.PREDICTIONS, lines(2), "", {"stream:one": done})
    with consumer.running():
        consumer.counts(2, 3, 1)
        is_confirmed(client)


def test_a_dead_consumers_entries_are_claimed(consumer: Consumer, client: redis.Redis) -> None:
    for number in range(3):
        add(client, line(number))
    client.xgroup_create(STREAM, GROUP, id="0")
    client.xreadgroup(GROUP, "dead", {STREAM: ">"}, count=2)
    consumer.claim_after = 0.5
    with consumer.running():
        until(lambda: sorted(consumer.taker.numbers()) == [0, 1, 2], timeout=60)
        is_confirmed(client)


def test_what_a_living_consumer_waits_with_is_not_claimed(
    consumer: Consumer, client: redis.Redis, tmp_path: Path
) -> None:
    consumer.claim_after = 2.0
    consumer.taker.up.clear()
    add(client, lines(1))
    other = Consumer(consumer.server, tmp_path, "two", claim_after=2.0)
    with consumer.running():
        until(lambda: consumer.taker.refusals, timeout=60)
        with other.running():
            until(lambda: consumer.taker.refusals >= 9, timeout=120, what="nine tries, which take longer than 2 s")
            assert other.taker.numbers() == []
            consumer.taker.up.set()
            consumer.counts(1)
            is_confirmed(client)
    assert other.taker.numbers() == []


def test_an_entry_that_is_delivered_again_and_again_is_set_aside(consumer: Consumer, client: redis.Redis) -> None:
    add(client, lines(1))
    client.xgroup_create(STREAM, GROUP, id="0")
    client.xreadgroup(GROUP, "one", {STREAM: ">"})
    for _ in range(12):
        client.xreadgroup(GROUP, "one", {STREAM: "0"})
    add(client, lines(2))
    with consumer.running():
        consumer.counts(2)
        is_confirmed(client)
    assert "times and never counted" in rejected(client)[0]["reason"]


def test_an_entry_that_was_deleted_meanwhile_is_confirmed(consumer: Consumer, client: redis.Redis) -> None:
    gone = add(client, lines(1))
    client.xgroup_create(STREAM, GROUP, id="0")
    client.xreadgroup(GROUP, "one", {STREAM: ">"})
    client.xdel(STREAM, gone)
    add(client, lines(2))
    with consumer.running():
        consumer.counts(2)
        is_confirmed(client)


def test_while_the_ledger_is_away_nothing_is_skipped_or_confirmed(consumer: Consumer, client: redis.Redis) -> None:
    consumer.taker.up.clear()
    add(client, lines(1))
    with consumer.running():
        until(lambda: consumer.taker.refusals >= 3, timeout=60)
        assert pending(client) == 1
        consumer.taker.up.set()
        consumer.counts(1)
        is_confirmed(client)


def test_it_goes_on_after_redis_was_killed_and_after_its_data_was_lost(tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis") as server:
        consumer = Consumer(server, tmp_path)
        with server.client() as client:
            add(client, lines(1))
        with consumer.running():
            consumer.counts(1)
            server.kill()
            server.start()
            with server.client() as client:
                add(client, lines(2))
                consumer.counts(1, 2)
                is_confirmed(client)
                client.flushall()
                add(client, lines(3))
                consumer.counts(1, 2, 3)
                is_confirmed(client)


def test_it_waits_for_a_redis_that_is_not_there_yet(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis")
    consumer = Consumer(server, tmp_path)
    try:
        with consumer.running():
            server.start()
            with server.client() as client:
                add(client, lines(1))
            consumer.counts(1)
    finally:
        server.kill()


CHILD = """
import sys, threading
from pathlib import Path
from prometheus_client import CollectorRegistry
from airbag.clock import SystemClock
from airbag_exporters.config import Streams
from airbag_exporters.quality.intake.metrics import IntakeMetrics, Source
from airbag_exporters.quality.intake.taker import Kind
from airbag_exporters.quality.sources.group import Group
from airbag_exporters.quality.sources.streams import StreamSource
from airbag_exporters.quality.sources.told import SourceMetrics, Told
from tests.exporters.quality.source_ledger import SqliteTaker

registry, clock = CollectorRegistry(), SystemClock()
config = Streams.model_validate({"url": sys.argv[1]})
told = Told(Source.STREAM, "s", SourceMetrics(registry), IntakeMetrics(registry), clock)
taker = SqliteTaker(Path(sys.argv[2]))
StreamSource("s", "one", lambda: Group(config, "one"), taker, told, threading.Event(), clock).run()
"""


def test_killed_again_and_again_it_counts_every_entry_once(
    shared: RedisServer, client: redis.Redis, tmp_path: Path
) -> None:
    ledger = tmp_path / "one.db"
    taker = SqliteTaker(ledger)
    for number in range(0, 4000, 2):
        add(client, lines(number, number + 1) if number % 50 else lines(number) + b"{\n" + lines(number + 1))
    # Fewer lives than an entry may be delivered times without being counted: then it is set aside for good.
    while (before := len(taker.numbers())) < 4000:
        enough = min(before + 500, 4000)
        child = subprocess.Popen([sys.executable, "-c", CHILD, shared.url, str(ledger)], cwd=ROOT)
        try:
            until(lambda enough=enough: len(taker.numbers()) >= enough, timeout=60, what="more lines")  # type: ignore[misc] # a default
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait(60)
    assert sorted(taker.numbers()) == [*range(4000)]
    consumer = Consumer(shared, tmp_path)
    with consumer.running():
        is_confirmed(client)
    assert len(consumer.taker.numbers()) == 4000
