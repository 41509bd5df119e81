"""Several replicas on one Redis, and a Redis that hangs, restarts, forgets or is full."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from airbag.errors import StartError
from airbag_exporters.config import RedisLedger
from airbag_exporters.quality.ledger.redis import SharedLedger, TakenOver, redis_ledger
from airbag_exporters.quality.ledger.redis_link import script
from airbag_exporters.quality.ledger.values import Change, Conflict, LedgerUnavailable, Limits, State
from tests.exporters.quality.ledger_child import LIMITS, ROWS, Worker, open_it
from tests.exporters.quality.ledger_kinds import Bench, redis_bench, waiting
from tests.exporters.quality.test_ledger_crashes import Child, agreeing_steps
from tests.fakes.clock import SetClock
from tests.fakes.redis_server import RedisServer, redis_server
from tests.fakes.wait import until

WIDE = Limits(pending_max=100_000, label_ttl=100.0, early_label_ttl=10.0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def begin(server: RedisServer) -> Iterator[Callable[..., Bench]]:
    begun: list[Bench] = []

    def begin(replica: str = "a", url: str = "") -> Bench:
        begun.append(redis_bench(url or server.url, WIDE, prefix="airbag", replica=replica))
        return begun[-1]

    yield begin
    for bench in begun:
        bench.ledger.close()


def together(*works: Callable[[], None]) -> None:
    """Run all at once; the first error of any is raised."""
    errors: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if errors:
        raise errors[0]


def test_replicas_that_race_for_the_same_labels_count_each_once(begin: Callable[..., Bench]) -> None:
    benches = [begin("a"), begin("b")]
    keys = list(range(2000))
    benches[0].predict(*keys)
    joined = [0, 0]

    def label_all(place: int) -> None:
        bench = benches[place]
        for first in range(0, len(keys), 50):
            while True:
                looked = bench.look(*keys[first : first + 50])
                due = looked.rows[looked.states == State.PENDING]
                try:
                    bench.ledger.commit(Change(done=due, blocks={"n": str(joined[place] + len(due)).encode()}))
                except Conflict:
                    continue
                joined[place] += len(due)
                break

    together(lambda: label_all(0), lambda: label_all(1))
    assert sum(joined) == len(keys)
    assert benches[0].look(*keys).states.tolist() == [State.DONE] * len(keys)
    for place, bench in enumerate(benches):
        bench.restart()
        assert bench.kept.blocks["n"] == str(joined[place]).encode()
        assert bench.ledger.pending() == 0


def test_what_another_replica_changed_since_the_look_is_a_conflict_and_nothing_is_committed(
    begin: Callable[..., Bench],
) -> None:
    one, other = begin("a"), begin("b")
    one.predict(1, 2, 3)
    looked = one.look(1, 2, 4, 5)
    other.label(2, blocks={"n": b"other"})
    with pytest.raises(Conflict):
        one.ledger.commit(Change(new=one.rows(4), done=looked.rows[:2], early={5: b"x"}, blocks={"n": b"one"}))
    assert other.states(1, 2, 3, 4, 5) == [State.PENDING, State.DONE, State.PENDING, State.ABSENT, State.ABSENT]
    one.look(4, 6)
    other.predict(4)
    with pytest.raises(Conflict):
        one.ledger.commit(Change(new=one.rows(4, 6)))
    one.look(7)
    other.predict(7)
    with pytest.raises(Conflict):
        one.ledger.commit(Change(early={7: b"late"}))
    assert other.states(4, 6, 7) == [State.PENDING, State.ABSENT, State.PENDING]
    one.restart()
    other.restart()
    assert (dict(one.kept.blocks), dict(other.kept.blocks)) == ({}, {"n": b"other"})


def test_replicas_that_expire_at_once_count_each_prediction_and_label_once(begin: Callable[..., Bench]) -> None:
    benches = [begin("a"), begin("b")]
    for first in range(0, 5000, 100):
        benches[first // 100 % 2].predict(*range(first, first + 100))
    benches[0].look(*range(9000, 9300))
    benches[0].ledger.commit(Change(early=dict.fromkeys(range(9000, 9300), b"x")))
    benches[1].label(*range(0, 5000, 10))
    counts = [[0, 0], [0, 0]]

    def expire(place: int) -> None:
        ledger = benches[place].ledger
        while ledger.look(np.array([4999, 9299], np.uint64)).states.any():
            expired = ledger.expire(benches[place].clock.time + 200)
            try:
                ledger.forget(expired, {})
            except Conflict:
                continue
            counts[place][0] += sum(expired.predictions.values())
            counts[place][1] += expired.labels

    together(lambda: expire(0), lambda: expire(1))
    assert np.sum(counts, axis=0).tolist() == [4500, 300]


def test_what_a_replica_leaves_undone_expires_with_others(begin: Callable[..., Bench], server: RedisServer) -> None:
    one, other = begin("a"), begin("b")
    one.predict(1)
    one.clock.time += 200
    assert one.ledger.expire(one.clock.time)
    assert not other.ledger.expire(one.clock.time)  # it is at it
    assert one.ledger.expire(one.clock.time)
    with server.client() as client:
        assert 0 < client.pttl("{airbag}:expiring") <= 5000
        client.delete("{airbag}:expiring")
    other.clock.time += 200
    assert other.expire() == ({7: 1}, 0)


def test_a_clock_that_was_ahead_holds_up_what_came_later_and_no_more(begin: Callable[..., Bench]) -> None:
    ahead, right = begin("a"), begin("b")
    ahead.clock.time += 50
    for place, bench in enumerate((ahead, right)):
        bench.predict(place)
        bench.look(10 + place)
        bench.ledger.commit(Change(early={10 + place: b"x"}))
    right.clock.time += 101
    assert right.expire() == ({}, 2)
    right.clock.time += 50
    assert right.expire() == ({7: 2}, 0)
    ahead.clock.time = right.clock.time + 50
    for place, bench in enumerate((ahead, right)):
        bench.look(20 + place)
        bench.ledger.commit(Change(early={20 + place: b"x"}))
    right.clock.time += 11
    assert right.expire() == ({}, 0)
    right.clock.time += 50
    assert right.expire() == ({}, 2)


def test_an_owner_that_another_replica_brought_is_known(begin: Callable[..., Bench]) -> None:
    from airbag_exporters.quality.columns import Owner

    one, other = begin("a"), begin("b")
    assert other.ledger.owner(5) is None
    one.predict(1, owners={5: Owner("s", "m", "2")})
    assert other.ledger.owner(5) == Owner("s", "m", "2")


def test_a_second_process_of_the_same_name_takes_over_for_good(begin: Callable[..., Bench]) -> None:
    old = begin("a")
    old.predict(1, blocks={"n": b"1"})
    new = begin("a")
    assert new.kept.blocks == {"n": b"1"}
    old.look(2)
    for _ in range(2):
        with pytest.raises(TakenOver, match=r"another process writes .* as replica 'a'.*quality\.replica"):
            old.ledger.commit(Change(new=old.rows(2), blocks={"n": b"old"}))
    assert not TakenOver.retryable
    new.predict(3, blocks={"n": b"2"})
    assert new.states(1, 2, 3) == [State.PENDING, State.ABSENT, State.PENDING]


def test_a_replica_that_slept_while_another_took_its_name_cannot_write_when_it_wakes(server: RedisServer) -> None:
    with Child(server.url) as child:
        child.until_steps(5)
        child.process.send_signal(signal.SIGSTOP)
        asleep = agreeing_steps(server.url)  # opens it as the same replica
        child.process.send_signal(signal.SIGCONT)
        child.process.wait(60)
    assert child.lines[-1] == "failed TakenOver"
    acknowledged = [line for line in child.lines if line.startswith("done")]
    assert acknowledged[-1] in (f"done {asleep}", f"done {asleep - 1}")
    assert agreeing_steps(server.url) == asleep


def test_a_redis_that_restarts_among_commits_loses_nothing(server: RedisServer) -> None:
    clock = SetClock(0.0)
    worker = Worker(open_it(server.url, "a", clock), clock)
    target = 150

    def work() -> None:
        while worker.counts["steps"] < target:
            try:
                worker.work()
            except (LedgerUnavailable, Conflict):
                threading.Event().wait(0.005)

    def restart() -> None:
        for number in range(6):
            steps = worker.counts["steps"] + 7
            until(lambda steps=steps: worker.counts["steps"] >= min(steps, target), timeout=60, every=0.0005)
            server.kill() if number % 2 else server.stop()
            server.start()

    together(work, restart)
    assert agreeing_steps(server.url) == target
    assert worker.counts["predicted"] == target * ROWS


class Cut:
    """A way to Redis on which so many answers to changes get lost."""

    def __init__(self, port: int) -> None:
        self._redis = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.answers_to_lose = self.cuts = 0
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._redis)) as server:
            back = threading.Thread(target=self._back, args=(server, client))
            back.start()
            while data := client.recv(1 << 20):
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)
            back.join()

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        try:
            while data := server.recv(1 << 20):
                if self.answers_to_lose and data.startswith(b"*2\r\n$2\r\nok"):  # what only a change is answered
                    self.answers_to_lose -= 1
                    self.cuts += 1
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)
        except OSError:
            return

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(60)


def test_a_change_whose_answer_was_lost_happens_once(server: RedisServer, begin: Callable[..., Bench]) -> None:
    cut = Cut(server.port)
    try:
        bench = begin(url=f"redis://127.0.0.1:{cut.port}/0")
        bench.look(1, 2)
        cut.answers_to_lose = 1
        bench.ledger.commit(Change(new=bench.rows(1, 2), blocks={"n": b"1"}))
        assert cut.cuts == 1
        assert bench.ledger.pending() == 2
        bench.clock.time += 200
        expired = bench.ledger.expire(bench.clock.time)
        cut.answers_to_lose = 1
        bench.ledger.forget(expired, {"n": b"2"})
        assert cut.cuts == 2
        assert bench.ledger.pending() == 0
        bench.predict(1, blocks={"n": b"3"})
        bench.restart()
        assert bench.kept.blocks == {"n": b"3"}
        assert bench.ledger.pending() == 1
        bench.ledger.close()
    finally:
        cut.close()


@pytest.mark.parametrize("end", ["give_up", "close"])
def test_giving_up_ends_the_wait_for_an_answer_that_never_comes(
    server: RedisServer, begin: Callable[..., Bench], end: str
) -> None:
    cut = Cut(server.port)
    bench = begin(url=f"redis://127.0.0.1:{cut.port}/0")
    bench.look(1)
    cut.answers_to_lose = 1_000_000

    def commit() -> None:
        with pytest.raises(LedgerUnavailable, match="the next start shows it"):
            bench.ledger.commit(Change(blocks={"n": b"1"}))

    def end_later() -> None:
        until(lambda: cut.cuts > 3, timeout=60, what="several answers that were lost")
        getattr(bench.ledger, end)()

    try:
        together(commit, end_later)
    finally:
        bench.ledger.close()
        cut.close()


def test_a_redis_that_is_away_is_unavailable_and_is_used_again_when_it_is_back(
    server: RedisServer, begin: Callable[..., Bench]
) -> None:
    bench = begin()
    bench.predict(1, blocks={"n": b"1"})
    server.kill()
    with pytest.raises(LedgerUnavailable, match="does not answer"):
        bench.look(1)
    with pytest.raises(LedgerUnavailable):
        bench.ledger.commit(Change(blocks={"n": b"2"}))
    with pytest.raises(LedgerUnavailable):
        bench.ledger.expire(bench.clock.time)
    assert bench.ledger.pending() == 1
    server.start()
    bench.predict(2, blocks={"n": b"3"})
    assert bench.states(1, 2) == [State.PENDING] * 2


def test_a_redis_that_forgot_everything_gets_the_counters_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server(tmp_path / "redis", appendonly=False) as server:
        bench = redis_bench(server.url, WIDE, prefix="airbag")
        assert "forgets the join and the counters when it restarts" in caplog.text
        bench.predict(1, 2, blocks={"n": b"1", "m": b"7"}, cursors={"file": "9"})
        bench.label(1, blocks={"n": b"2"})
        server.kill()
        server.start()
        bench.look(5)
        with pytest.raises(Conflict, match="lost its data"):
            bench.ledger.commit(Change(new=bench.rows(5), blocks={"n": b"3"}))
        assert "the counters are written again" in caplog.text
        bench.predict(5, blocks={"n": b"3"})
        assert bench.states(1, 2, 5) == [State.ABSENT, State.ABSENT, State.PENDING]
        bench.restart()
        assert bench.kept.blocks == {"n": b"3", "m": b"7"}
        assert bench.kept.cursors == {"file": "9"}
        bench.ledger.close()


def test_a_redis_that_lost_only_its_latest_changes_gets_the_counters_again(
    server: RedisServer, begin: Callable[..., Bench]
) -> None:
    bench = begin()
    bench.predict(1, blocks={"n": b"1", "m": b"1"})
    with server.client() as client:
        before = client.hget("{airbag}:replicas", "a")
        bench.predict(2, blocks={"m": b"2"})
        client.hset("{airbag}:replicas", "a", before)  # as the append-only file had it a second ago
        client.hset("{airbag}:blocks:a", "m", b"1")
    bench.look(3)
    with pytest.raises(Conflict):
        bench.ledger.commit(Change(new=bench.rows(3), blocks={"n": b"2"}))
    bench.restart()
    assert bench.kept.blocks == {"n": b"1", "m": b"2"}


def test_who_lost_its_name_does_not_get_it_back_from_a_redis_that_forgot(
    server: RedisServer, begin: Callable[..., Bench]
) -> None:
    old, new = begin("a"), begin("a")
    old.look(1)
    with pytest.raises(TakenOver):
        old.ledger.commit(Change(blocks={"n": b"old"}))
    with server.client() as client:
        client.flushall()
    with pytest.raises(TakenOver):
        old.ledger.commit(Change(blocks={"n": b"old"}))
    with pytest.raises(Conflict):
        new.ledger.commit(Change(blocks={"n": b"new"}))
    new.ledger.commit(Change(blocks={"n": b"new"}))


def test_counters_are_not_written_again_under_a_name_that_was_taken_over(
    server: RedisServer, begin: Callable[..., Bench]
) -> None:
    """As it goes when another process is faster, just after Redis forgot everything."""
    new = begin("a")
    new.predict(1, blocks={"n": b"new"})
    with server.client() as client:
        late = client.eval(script("redis_take.lua"), 1, "{airbag}", "a", "0123abcd", 7, 2, "n", "old", 0, 0)
    assert late == [b"taken over"]
    new.predict(2)
    new.restart()
    assert new.kept.blocks == {"n": b"new"}


def test_a_full_redis_refuses_a_change_whole(server: RedisServer, begin: Callable[..., Bench]) -> None:
    bench = begin()
    bench.predict(1, blocks={"n": b"1"})
    bench.look(2, 3)
    with server.client() as client:
        client.config_set("maxmemory", "1mb")
        with pytest.raises(LedgerUnavailable, match="maxmemory"):
            bench.ledger.commit(Change(new=bench.rows(2, 3), blocks={"n": b"2"}))
        assert bench.states(1, 2, 3) == [State.PENDING, State.ABSENT, State.ABSENT]
        client.config_set("maxmemory", "0")
    bench.ledger.commit(Change(new=bench.rows(2, 3), blocks={"n": b"2"}))
    assert bench.ledger.pending() == 3


def test_a_redis_that_may_drop_keys_is_told_of(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    with server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    with caplog.at_level(logging.WARNING):
        bench = redis_bench(server.url)
    bench.ledger.close()
    (record,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert "may drop waiting predictions" in record.getMessage()
    assert record.policy == "allkeys-lru"  # type: ignore[attr-defined]  # a field of the log


def test_a_wrong_password_is_refused_at_the_start(tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis", "--requirepass", "secret") as server:
        ledger: SharedLedger = redis_ledger(RedisLedger(url=server.url), "a", LIMITS, SetClock())
        with pytest.raises(StartError, match=r"`password`.*quality\.redis"):
            ledger.load()
        ledger.close()


def test_records_live_longer_than_they_wait_but_not_for_ever(server: RedisServer, begin: Callable[..., Bench]) -> None:
    bench = begin()
    bench.predict(1)
    bench.look(2)
    bench.ledger.commit(Change(early={2: b"x"}))
    with server.client() as client:
        lives = {key: client.ttl(key) for key in client.keys("{airbag}:w:*") + client.keys("{airbag}:run:*")}
        bench.label(1)
        lives |= {key + b" later": client.ttl(key) for key in client.keys("{airbag}:w:*")}
    assert len(lives) == 5
    assert all(20 < seconds < 200_000 for seconds in lives.values())


def test_batches_of_any_size_are_taken(begin: Callable[..., Bench]) -> None:
    bench = begin()
    bench.look(*range(20_000))
    bench.ledger.commit(Change(new=waiting(range(20_000), bench.clock.time)))
    bench.clock.time += 200
    assert bench.expire() == ({7: 20_000}, 0)
