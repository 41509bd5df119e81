"""Any order of events, expiry and restarts leaves a ledger with what a plain dict says."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airbag_exporters.quality.ledger.values import Change, Limits, State
from tests.exporters.quality.ledger_kinds import Bench, memory_bench, redis_bench, sqlite_bench
from tests.fakes.redis_server import redis_server

KEYS = [*range(14), (1 << 64) - 1, 1 << 63]
FOLDERS = itertools.count()
keys = st.lists(st.sampled_from(KEYS), unique=True, max_size=8)
operations = st.one_of(
    st.tuples(st.just("predict"), keys, st.integers(1, 3), st.booleans()),
    st.tuples(st.just("complete"), keys, st.integers(1, 3), st.booleans()),
    st.tuples(st.just("label"), keys),
    st.tuples(st.just("pass"), st.sampled_from([1.0, 6.0, 40.0, 101.0])),
    st.tuples(st.just("expire"), st.booleans()),
    st.tuples(st.just("restart")),
)


@dataclass
class Known:
    row: bytes
    owner: int
    since: float
    is_done: bool
    extra: bytes | None


@dataclass
class Oracle:
    """What should be known; dicts keep the order of arrival."""

    limits: Limits
    held: dict[int, Known] = field(default_factory=dict)
    early: dict[int, tuple[float, bytes]] = field(default_factory=dict)
    blocks: dict[str, bytes] = field(default_factory=dict)

    @property
    def pending(self) -> int:
        return sum(not each.is_done for each in self.held.values())

    def expire(self, now: float) -> tuple[dict[int, int], int]:
        order = list(self.held)
        old = list(itertools.takewhile(lambda key: self.held[key].since + self.limits.label_ttl <= now, order))
        going = order[: max(len(old), len(order) - self.limits.pending_max)]
        gone = [self.held.pop(key) for key in going]
        late = [key for key, (since, _) in self.early.items() if since + self.limits.early_label_ttl <= now]
        for key in late:
            del self.early[key]
        return dict(Counter(each.owner for each in gone if not each.is_done)), len(late)


def play(bench: Bench, events: list[tuple]) -> None:  # type: ignore[type-arg]  # each kind has its own
    oracle = Oracle(bench.limits)
    for number, (kind, *details) in enumerate(events):
        stamp = f"{kind} {number}".encode()
        match kind:
            case "predict" | "complete":
                predict(bench, oracle, stamp, kind == "complete", *details)
            case "label":
                label(bench, oracle, stamp, *details)
            case "pass":
                bench.clock.time += details[0]
            case "expire" if details[0]:
                assert bench.expire() == oracle.expire(bench.clock.time)
            case "expire":
                oracle = looked_for(bench, oracle)
            case _:
                bench.restart()
                assert bench.kept.blocks == oracle.blocks
        agree(bench, oracle)


def looked_for(bench: Bench, oracle: Oracle) -> Oracle:
    """What is only looked for stays, unless there is nothing in it to report."""
    after = copy.deepcopy(oracle)
    due = after.expire(bench.clock.time)
    found = bench.ledger.expire(bench.clock.time)
    assert (dict(found.predictions), found.labels) == due
    return oracle if found else after


def predict(
    bench: Bench, oracle: Oracle, stamp: bytes, is_complete: bool, wanted: list[int], owner: int, more: bool
) -> None:
    looked = bench.look(*wanted)
    rows = bench.rows(*wanted, owner=owner)
    waits = (looked.states == State.ABSENT) & (not is_complete)
    done = (looked.states == State.EARLY) | ((looked.states == State.ABSENT) & is_complete)
    extras = {key: stamp + bytes([key % 251]) for key in rows["key"][waits].tolist()} if more else {}
    bench.ledger.commit(Change(new=rows[waits], done=rows[done], extras=extras, blocks={"p": stamp}))
    oracle.blocks["p"] = stamp
    for chosen in (waits, done):
        for row in rows[chosen]:
            key = int(row["key"])
            oracle.early.pop(key, None)
            oracle.held[key] = Known(row.tobytes(), owner, bench.clock.time, bool(chosen is done), extras.get(key))


def label(bench: Bench, oracle: Oracle, stamp: bytes, wanted: list[int]) -> None:
    looked = bench.look(*wanted)
    early = {key: stamp for key, state in zip(wanted, looked.states.tolist(), strict=True) if state == State.ABSENT}
    bench.ledger.commit(Change(done=looked.rows[looked.states == State.PENDING], early=early, blocks={"l": stamp}))
    oracle.blocks["l"] = stamp
    for key in wanted:
        if key in oracle.held:
            oracle.held[key].is_done, oracle.held[key].extra = True, None
        else:
            oracle.early.setdefault(key, (bench.clock.time, stamp))


def agree(bench: Bench, oracle: Oracle) -> None:
    looked = bench.look(*KEYS)
    for place, key in enumerate(KEYS):
        state = State(int(looked.states[place]))
        if known := oracle.held.get(key):
            assert state == (State.DONE if known.is_done else State.PENDING)
            assert looked.rows[place].tobytes() == known.row
            assert looked.extras.get(place) == known.extra
        else:
            assert state == (State.EARLY if key in oracle.early else State.ABSENT)
            assert looked.rows[place] == np.zeros(1, looked.rows.dtype)[0]
            assert looked.early.get(place) == oracle.early.get(key, (0.0, None))[1]
    assert bench.ledger.pending() == oracle.pending


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(scope="module", params=["memory", "sqlite", "redis"])
def begin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis_url: str):
    folder = tmp_path_factory.mktemp("ledgers")

    def begin(limits: Limits) -> Bench:
        own = folder / str(next(FOLDERS))
        if request.param == "memory":
            return memory_bench(own, limits)
        return sqlite_bench(own, limits) if request.param == "sqlite" else redis_bench(redis_url, limits)

    return begin


def without_restarts(bench: Bench, events: list) -> list:  # type: ignore[type-arg]  # each kind has its own
    return [event for event in events if bench.is_durable or event[0] != "restart"]


# The function begins a ledger anew for each example; only the server is shared.
thorough = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@thorough
@given(events=st.lists(operations, max_size=40))
def test_a_ledger_knows_what_a_dict_knows(begin, events: list) -> None:  # type: ignore[no-untyped-def, type-arg]
    bench = begin(Limits(pending_max=1000, label_ttl=100.0, early_label_ttl=10.0))
    try:
        play(bench, without_restarts(bench, events))
    finally:
        bench.ledger.close()


@thorough
@given(events=st.lists(operations.filter(lambda event: event[0] != "label"), max_size=40))
def test_a_full_ledger_knows_what_a_bounded_dict_knows(begin, events: list) -> None:  # type: ignore[no-untyped-def, type-arg]
    bench = begin(Limits(pending_max=6, label_ttl=100.0, early_label_ttl=10.0))
    try:
        play(bench, without_restarts(bench, events))
    finally:
        bench.ledger.close()
