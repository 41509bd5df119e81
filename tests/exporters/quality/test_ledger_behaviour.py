"""What every ledger does, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from airbag_exporters.quality.columns import Owner
from airbag_exporters.quality.ledger.values import Change, Conflict, Limits, State
from tests.exporters.quality.ledger_kinds import LIMITS, Bench, memory_bench, redis_bench, sqlite_bench
from tests.fakes.redis_server import redis_server

ABSENT, PENDING, DONE, EARLY = State.ABSENT, State.PENDING, State.DONE, State.EARLY
Start = Callable[..., Bench]
BIG = (1 << 64) - 1  # keys use all bits


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(params=["memory", "sqlite", "redis"])
def start(request: pytest.FixtureRequest, tmp_path: Path, redis_url: str) -> Iterator[Start]:
    begun: list[Bench] = []

    def start(limits: Limits = LIMITS) -> Bench:
        match request.param:
            case "memory":
                begun.append(memory_bench(tmp_path, limits))
            case "sqlite":
                begun.append(sqlite_bench(tmp_path, limits))
            case _:
                begun.append(redis_bench(redis_url, limits))
        return begun[-1]

    yield start
    for bench in begun:
        bench.ledger.close()


@pytest.fixture
def bench(start: Start) -> Bench:
    return start()


def restartable(bench: Bench) -> None:
    if not bench.is_durable:
        pytest.skip("memory is forgotten with the process")


def test_an_id_that_never_came_is_absent(bench: Bench) -> None:
    looked = bench.look(1, 0, BIG)
    assert looked.states.tolist() == [ABSENT] * 3
    assert not looked.rows["key"].any()
    assert bench.ledger.pending() == 0


def test_a_prediction_waits_and_its_row_comes_back_as_it_was(bench: Bench) -> None:
    rows = bench.rows(0, 5, BIG)
    bench.look(0, 5, BIG)
    bench.ledger.commit(Change(new=rows))
    looked = bench.look(BIG, 3, 0, 5)
    assert looked.states.tolist() == [PENDING, ABSENT, PENDING, PENDING]
    assert looked.rows[[2, 3, 0]].tobytes() == rows.tobytes()
    assert looked.rows[1] == np.zeros(1, rows.dtype)[0]
    assert bench.ledger.pending() == 3


def test_a_label_makes_its_prediction_done(bench: Bench) -> None:
    bench.predict(1, 2, 3)
    bench.label(2)
    assert bench.states(1, 2, 3) == [PENDING, DONE, PENDING]
    assert bench.look(2).rows["predicted"].tolist() == [6]
    assert bench.ledger.pending() == 2


def test_a_prediction_that_came_with_its_label_is_done_and_never_waited(bench: Bench) -> None:
    bench.look(4)
    bench.ledger.commit(Change(done=bench.rows(4)))
    assert bench.states(4) == [DONE]
    assert bench.ledger.pending() == 0


def test_an_early_label_waits_until_its_prediction_takes_it(bench: Bench) -> None:
    bench.look(8, 9)
    bench.ledger.commit(Change(early={8: b"eight", BIG: b""}))
    looked = bench.look(9, 8, BIG)
    assert looked.states.tolist() == [ABSENT, EARLY, EARLY]
    assert looked.early == {1: b"eight", 2: b""}
    bench.ledger.commit(Change(done=bench.rows(8)))
    assert bench.states(8, BIG) == [DONE, EARLY]
    assert bench.look(8).early == {}


def test_an_early_label_is_gone_too_when_its_prediction_still_waits(bench: Bench) -> None:
    bench.look(8)
    bench.ledger.commit(Change(early={8: b"of no use"}))
    bench.predict(8)
    assert bench.states(8) == [PENDING]
    bench.clock.time += 11
    assert bench.expire() == ({}, 0)


def test_the_first_of_two_early_labels_stays(bench: Bench) -> None:
    bench.look(8)
    bench.ledger.commit(Change(early={8: b"first"}))
    bench.clock.time += 6
    bench.look(8, 9)
    bench.ledger.commit(Change(early={8: b"second", 9: b"other"}))
    assert bench.look(8, 9).early == {0: b"first", 1: b"other"}
    bench.clock.time += 6
    assert bench.expire() == ({}, 1)


def test_extras_come_with_predictions_that_wait_and_only_with_them(bench: Bench) -> None:
    bench.look(1, 2, 3)
    bench.ledger.commit(Change(new=bench.rows(1, 2, 3), extras={3: b"three", 1: b"one", 77: b"of nobody"}))
    assert bench.look(3, 2, 1).extras == {0: b"three", 2: b"one"}
    bench.label(1)
    looked = bench.look(1, 3)
    assert looked.extras == {1: b"three"}
    assert looked.rows["predicted"].tolist() == [3, 9]


def test_what_expires_is_counted_by_owner_without_what_had_its_label(bench: Bench) -> None:
    bench.predict(1, 2, 3, owner=7)
    bench.predict(4, 5, owner=BIG)
    bench.label(2)
    bench.clock.time += 99.5
    bench.predict(6)
    assert bench.expire() == ({}, 0)
    bench.clock.time += 1
    assert bench.expire() == ({7: 2, BIG: 2}, 0)
    assert bench.states(1, 2, 3, 4, 5, 6) == [ABSENT] * 5 + [PENDING]
    assert bench.ledger.pending() == 1
    assert bench.expire() == ({}, 0)


def test_what_expired_stays_until_it_is_forgotten(bench: Bench) -> None:
    bench.predict(1)
    bench.clock.time += 101
    first = bench.ledger.expire(bench.clock.time)
    assert bench.states(1) == [PENDING]
    assert bench.ledger.pending() == 1
    assert bench.ledger.expire(bench.clock.time).predictions == first.predictions == {7: 1}


def test_what_had_its_label_leaves_in_silence(bench: Bench) -> None:
    bench.predict(1)
    bench.label(1)
    bench.clock.time += 101
    assert not bench.ledger.expire(bench.clock.time)
    assert bench.states(1) == [ABSENT]


def test_an_early_label_without_prediction_expires_and_one_with_it_does_not(bench: Bench) -> None:
    bench.look(1, 2)
    bench.ledger.commit(Change(early={1: b"a", 2: b"b"}))
    bench.look(2)
    bench.ledger.commit(Change(done=bench.rows(2)))
    bench.clock.time += 10.5
    assert bench.expire() == ({}, 1)
    assert bench.states(1, 2) == [ABSENT, DONE]


def test_the_oldest_make_room_and_are_reported(start: Start) -> None:
    bench = start(Limits(pending_max=10, label_ttl=100.0, early_label_ttl=10.0))
    bench.predict(*range(8), owner=1)
    bench.label(0)
    bench.predict(*range(8, 14), owner=2)
    assert bench.expire() == ({1: 3}, 0)
    assert bench.states(3, 4, 13) == [ABSENT, PENDING, PENDING]
    assert bench.ledger.pending() == 10


def test_the_oldest_early_labels_make_room_too(start: Start) -> None:
    bench = start(Limits(pending_max=3, label_ttl=100.0, early_label_ttl=10.0))
    bench.look(*range(5))
    bench.ledger.commit(Change(early=dict.fromkeys(range(5), b"x")))
    assert bench.expire() == ({}, 2)
    assert bench.states(0, 1, 2, 3, 4) == [ABSENT] * 2 + [EARLY] * 3


def test_what_expired_before_a_commit_cannot_be_forgotten_after_it(bench: Bench) -> None:
    bench.predict(1, 2)
    bench.clock.time += 101
    expired = bench.ledger.expire(bench.clock.time)
    bench.label(1)  # one of those that were counted
    with pytest.raises(Conflict):
        bench.ledger.forget(expired, {})
    assert bench.states(1, 2) == [DONE, PENDING]
    assert bench.expire() == ({7: 1}, 0)


def test_an_early_label_that_met_its_prediction_cannot_be_forgotten_as_unmatched(bench: Bench) -> None:
    bench.look(1, 2)
    bench.ledger.commit(Change(early={1: b"a", 2: b"b"}))
    bench.clock.time += 11
    expired = bench.ledger.expire(bench.clock.time)
    assert expired.labels == 2
    bench.look(2)
    bench.ledger.commit(Change(done=bench.rows(2)))
    with pytest.raises(Conflict):
        bench.ledger.forget(expired, {})
    assert bench.expire() == ({}, 1)


def test_what_expired_is_forgotten_once(bench: Bench) -> None:
    bench.predict(1, 2)
    bench.look(3)
    bench.ledger.commit(Change(early={3: b"x"}))
    bench.clock.time += 101
    expired = bench.ledger.expire(bench.clock.time)
    bench.ledger.forget(expired, {})
    with pytest.raises(Conflict):
        bench.ledger.forget(expired, {})
    assert bench.ledger.pending() == 0


def test_an_id_that_expired_may_come_again(bench: Bench) -> None:
    for owner in range(3):
        bench.predict(1, owner=owner)
        bench.look(2)
        bench.ledger.commit(Change(early={2: b"label"}))
        bench.clock.time += 101
        assert bench.expire() == ({owner: 1}, 1)
    bench.predict(1, owner=9)
    assert bench.look(1).rows["owner"].tolist() == [9]


def test_an_empty_change_is_no_trouble(bench: Bench) -> None:
    bench.ledger.commit(Change())
    assert bench.look().states.tolist() == []
    bench.ledger.forget(bench.ledger.expire(bench.clock.time), {})


def test_owners_are_known_by_their_number(bench: Bench) -> None:
    owner = Owner("shop", "m", "3")
    bench.predict(1, owner=BIG, owners={BIG: owner})
    bench.predict(2, owner=BIG, owners={BIG: owner})
    assert bench.ledger.owner(BIG) == owner
    assert bench.ledger.owner(4) is None


def test_many_small_batches_and_huge_ones_are_found_alike(start: Start) -> None:
    bench = start(Limits(pending_max=1_000_000, label_ttl=100.0, early_label_ttl=10.0))
    big = list(range(1_000, 31_000))
    for begin in range(0, len(big), bench.ledger.batch_rows_max):
        bench.predict(*big[begin : begin + bench.ledger.batch_rows_max])
    for key in range(200):
        bench.predict(key, owner=key)
    bench.label(*range(0, 200, 20), *range(1_000, 31_000, 20))
    expected = np.where(np.arange(31_000) % 20, PENDING, DONE)
    expected[200:1000] = ABSENT
    assert (bench.look(*range(31_000)).states == expected).all()
    assert bench.ledger.pending() == 30_200 * 19 // 20
    bench.clock.time += 101
    predictions, _ = bench.expire()
    assert predictions[1] == 1
    assert predictions[7] == 30_000 * 19 // 20 + 1
    assert bench.ledger.pending() == 0


def test_a_restart_finds_all_that_was_committed(bench: Bench) -> None:
    restartable(bench)
    owner = Owner("shop", "m", "3")
    bench.predict(
        1, 2, BIG, extras={2: b"two"}, owners={BIG: owner}, blocks={"b": b"1", "c": b"2"}, cursors={"f": "12"}
    )
    bench.label(1, blocks={"b": b"3"}, cursors={"g": "x"})
    bench.look(5, 6)
    bench.ledger.commit(Change(early={5: b"five", BIG - 1: b"big", 6: b"six"}))
    bench.look(6)
    bench.ledger.commit(Change(done=bench.rows(6)))
    before = bench.look(1, 2, BIG, 5, 6, BIG - 1)
    bench.restart()
    after = bench.look(1, 2, BIG, 5, 6, BIG - 1)
    assert after.states.tolist() == before.states.tolist() == [DONE, PENDING, PENDING, EARLY, DONE, EARLY]
    assert after.rows.tobytes() == before.rows.tobytes()
    assert after.extras == before.extras == {1: b"two"}
    assert after.early == before.early == {3: b"five", 5: b"big"}
    assert bench.kept.blocks == {"b": b"3", "c": b"2"}
    assert bench.kept.cursors == {"f": "12", "g": "x"}
    assert bench.kept.owners == {BIG: owner}
    assert bench.ledger.owner(BIG) == owner
    assert bench.ledger.pending() == 2


def test_an_empty_block_goes(bench: Bench) -> None:
    restartable(bench)
    bench.predict(1, blocks={"b": b"1", "c": b"2", "d": b"3"})
    bench.predict(2, blocks={"b": b""})
    bench.clock.time += 101
    bench.ledger.forget(bench.ledger.expire(bench.clock.time), {"c": b""})
    bench.restart()
    assert bench.kept.blocks == {"d": b"3"}


def test_what_was_forgotten_stays_so_after_a_restart(bench: Bench) -> None:
    restartable(bench)
    for round_ in range(4):
        bench.predict(*range(10 * round_, 10 * round_ + 10), extras={10 * round_: b"extra"})
        bench.look(900 + round_)
        bench.ledger.commit(Change(early={900 + round_: b"label"}))
        bench.label(10 * round_ + 1)
        bench.clock.time += 40
    expired = bench.ledger.expire(bench.clock.time)
    assert (dict(expired.predictions), expired.labels) == ({7: 18}, 4)
    bench.ledger.forget(expired, {"b": b"with them"})
    bench.restart()
    assert bench.kept.blocks == {"b": b"with them"}
    assert bench.states(0, 1, 19, 20, 21, 39, 903) == [ABSENT, ABSENT, ABSENT, PENDING, DONE, PENDING, ABSENT]
    assert bench.ledger.pending() == 18
    assert bench.expire() == ({}, 0)
    bench.predict(0)
    bench.look(903)
    bench.ledger.commit(Change(early={903: b"again"}))
    bench.restart()
    assert bench.states(0, 20, 903) == [PENDING, PENDING, EARLY]
    bench.clock.time += 1000
    assert bench.expire() == ({7: 19}, 1)
    bench.restart()
    assert bench.ledger.pending() == 0


def test_a_smaller_bound_than_before_the_restart_makes_room(bench: Bench) -> None:
    restartable(bench)
    bench.predict(*range(500))
    bench.restart(Limits(pending_max=100, label_ttl=100.0, early_label_ttl=10.0))
    assert bench.expire() == ({7: 400}, 0)
    assert bench.states(399, 400) == [ABSENT, PENDING]
