"""Of several receivers on one journal one leads, and what the others did in its place stays done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from airbag.serving.model_config import ModelConfigFile, edit_versions
from airbag_rollback.actions.landing import Result
from airbag_rollback.actions.models_config import Change, change
from airbag_rollback.engine.states import State
from airbag_rollback.journal import Fenced, JournalError
from airbag_rollback.journal.lease import Keeper, Lease
from airbag_rollback.journal.sqlite import SqliteDatabase
from airbag_rollback.journal.succession import TTL, Held, OneHost, is_free
from tests.fakes.alertmanager_api import alert
from tests.fakes.rollback import Bench, Surroundings, bench
from tests.fakes.wait import until


@dataclass
class Host:
    """Processes on one journal. `now` is the clock that they share."""

    path: Path
    stack: ExitStack
    now: float = 1000.0
    seen: int = 0
    opened: list[Lease] = field(default_factory=list)

    def process(self) -> Lease:
        database = SqliteDatabase(self.path)
        succession = OneHost(self.path, lambda: self.now)
        lease = Lease(database, succession, lambda: self.seen, lambda: self.now)
        self.stack.callback(database.close)
        self.stack.callback(succession.release)  # as the end of a process does
        return lease


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with ExitStack() as stack:
        yield Host(tmp_path / "journal.sqlite", stack)


def dies(lease: Lease) -> None:
    """The kernel lets go of the lock; nothing is written."""
    lease._succession.release()


def test_the_first_leads_and_the_second_stands_by(host: Host) -> None:
    first, second = host.process(), host.process()
    assert (first.tend(), second.tend()) == (True, False)
    assert (first.fence, second.fence) == (1, 0)
    assert (first.is_valid, second.is_valid) == (True, False)


def test_a_lease_that_is_renewed_does_not_run_out(host: Host) -> None:
    first, second = host.process(), host.process()
    first.tend()
    for _ in range(20):
        host.now += TTL - 0.1
        assert (first.tend(), second.tend()) == (True, False)
    assert first.fence == 1


def test_a_lease_that_ran_out_before_it_was_renewed_is_told(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    lease = host.process()
    lease.tend()
    host.now += TTL
    lease.tend()
    assert caplog.records == []
    host.now += TTL + 0.5
    assert not lease.is_valid
    assert lease.tend()
    [told] = caplog.records
    assert "had run out before it was renewed" in told.getMessage()
    assert vars(told)["seconds"] == pytest.approx(0.5)


def test_who_follows_a_dead_leader_does_so_at_once(host: Host) -> None:
    first, second = host.process(), host.process()
    first.tend()
    dies(first)
    assert second.tend()
    assert second.fence == 2


def test_who_follows_a_paused_leader_waits_until_the_lease_has_run_out(host: Host) -> None:
    first, second = host.process(), host.process()
    first.tend()
    host.now += TTL - 0.01
    assert not second.tend()
    host.now += 0.01
    assert second.tend()
    assert second.fence == 2


def test_a_leader_that_was_paused_learns_it_from_the_first_thing_it_writes(host: Host) -> None:
    first, second = host.process(), host.process()
    first.tend()
    with first.leading():
        host.now += TTL
        second.tend()
        assert first.fence == 1, "it cannot know yet"
        with pytest.raises(Fenced, match="had fence 1; another one leads under fence 2"), first._database.write() as it:
            it.execute("INSERT INTO meta VALUES ('late', 'write')")
    assert first.fence == 0
    assert second._database.rows("SELECT * FROM meta WHERE name = 'late'") == []
    with pytest.raises(Fenced, match="standby"), first.leading():
        pass


def test_the_lease_is_looked_at_again_right_before_an_effect(host: Host) -> None:
    first, second = host.process(), host.process()
    first.tend()
    host.now += TTL
    first.ensure()  # late, but nobody else came: renewed
    assert first.is_valid
    host.now += TTL
    second.tend()
    with pytest.raises(Fenced):
        first.ensure()
    assert not first.is_valid


def test_what_began_in_an_earlier_term_makes_no_effect_in_a_later_one(host: Host) -> None:
    first, second = host.process(), host.process()
    first.tend()
    host.now += TTL
    second.tend()
    assert not first.tend()
    second.give_up()
    assert first.tend()
    assert (first.fence, first.is_valid) == (3, True)
    with first._database.bound(1), pytest.raises(Fenced, match="or did in between"):
        first.ensure()
    with first.leading():
        first.ensure()


def test_a_fenced_leader_gives_the_lock_to_who_leads(host: Host) -> None:
    first, second, third = host.process(), host.process(), host.process()
    first.tend()
    host.now += TTL
    assert second.tend()
    assert not second.holder().locked  # type: ignore[union-attr] # it was just written
    assert not first.tend()
    assert second.tend()
    assert second.holder().locked  # type: ignore[union-attr]
    dies(second)
    assert third.tend()


def test_the_death_of_a_paused_former_leader_is_not_that_of_the_leader(host: Host) -> None:
    """Its lock is free then, and who takes it must not believe that nobody leads."""
    first, second, third = host.process(), host.process(), host.process()
    first.tend()
    host.now += TTL
    second.tend()
    dies(first)
    assert not third.tend()
    assert second.tend()
    assert (second.fence, third.fence) == (2, 0)


def test_a_leader_that_ends_lets_the_next_one_follow_at_once(host: Host) -> None:
    first, second = host.process(), host.process()
    first.tend()
    first.give_up()
    assert second.tend()


def test_one_that_gives_up_late_takes_nothing_from_its_successor(host: Host) -> None:
    first, second, third = host.process(), host.process(), host.process()
    first.tend()
    host.now += TTL
    second.tend()
    first.give_up()
    assert not third.tend()
    assert second.tend()


def test_the_fence_is_above_every_one_that_a_file_has_seen(host: Host) -> None:
    """A journal that was moved away begins at 1; with that nothing could be written."""
    host.seen = 41
    lease = host.process()
    lease.tend()
    assert lease.fence == 42
    lease.tend()
    assert lease.fence == 42
    host.seen = 50
    lease.outbid()
    assert (lease.fence, lease.is_valid) == (51, True)
    lease.outbid()
    assert lease.fence == 51


def test_a_standby_does_not_bid(host: Host) -> None:
    first, second = host.process(), host.process()
    first.tend()
    host.seen = 50
    second.outbid()
    assert (first.tend(), first.fence) == (True, 1)


@pytest.mark.parametrize(
    ("held", "has_lock", "free"),
    [
        (None, False, True),
        (Held(1, "a", "boot", 0, False), False, True),
        (Held(1, "a", "boot", 100, True), True, True),
        (Held(1, "a", "boot", 100, False), True, False),
        (Held(1, "a", "boot", 100, True), False, False),
        (Held(1, "a", "boot", 50, True), False, True),
        (Held(1, "a", "boot", 50, False), True, True),
        (Held(1, "a", "before", 9e9, False), True, True),
        (Held(1, "a", "elsewhere", 1, True), False, False),
    ],
    ids=[
        "nobody ever led", "given up", "its holder is dead", "the dead one was another", "held", "run out",
        "run out without its lock", "before this boot", "on another host",
    ],
)  # fmt: skip
def test_when_a_lease_is_free(held: Held | None, has_lock: bool, free: bool) -> None:
    assert is_free(held, 50.0, "boot", has_lock) is free


def test_a_disk_that_takes_nothing_makes_no_leader(host: Host) -> None:
    lease = host.process()
    lease._database.execute("PRAGMA query_only = 1")
    with pytest.raises(JournalError):
        lease.tend()
    assert (lease.fence, lease._succession.locked) == (0, False)


def test_the_keeper_renews_and_tells_of_every_change(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    first, second = SqliteDatabase(path), SqliteDatabase(path)
    leases = Lease(first, OneHost(path)), Lease(second, OneHost(path))
    changes: list[tuple[int, int]] = []

    def changed(number: int) -> Callable[[], None]:
        return lambda: changes.append((number, leases[number].fence))

    keepers = [Keeper(lease, changed(number)) for number, lease in enumerate(leases)]
    keepers[0].start()
    until(lambda: changes == [(0, 1)], what="the first to lead")
    keepers[1].start()
    until(lambda: changes == [(0, 1), (1, 0)], what="the second to stand by")
    expires = leases[0].holder().expires  # type: ignore[union-attr] # somebody leads
    until(lambda: leases[0].holder().expires > expires, what="a renewal")  # type: ignore[union-attr]
    keepers[0].stop()
    keepers[0].join(10)
    leases[0].give_up()
    until(lambda: changes[2:] == [(1, 2)], what="the second to lead")
    keepers[1].stop()
    keepers[1].join(10)
    leases[1].give_up()
    for database in (first, second):
        database.close()


@pytest.fixture
def two(desk: Bench) -> Iterator[tuple[Bench, Bench]]:
    """A leader and a standby on the same files; version 3 is bad."""
    with bench(desk.around) as standby:
        standby.clock.time = desk.clock.time
        yield desk, standby


def expire(standby: Bench) -> None:
    """What time does to the lease of a paused leader."""
    with standby.receiver.journal.database.write() as connection:
        connection.execute("UPDATE leases SET expires = 0.001")
    standby.receiver.journal.lease.tend()


def test_a_standby_does_not_turn_watch_or_tell(two: tuple[Bench, Bench]) -> None:
    _, standby = two
    for work in (standby.receiver.worker.turn, standby.receiver.notifier.empty):
        with pytest.raises(Fenced):
            work()


def test_what_a_standby_accepts_and_a_person_tells_it_is_the_leaders_to_do(two: tuple[Bench, Bench]) -> None:
    leader, standby = two
    standby.around.write_policy(mode="approve")
    leader.receiver.reload()
    standby.post(alert())
    leader.settle()
    (action,) = leader.actions()
    assert action.state is State.AWAITING_APPROVAL
    standby.receiver.people.approve(action.id, "ada")
    assert leader.run_until_ended().state is State.SUCCEEDED


def test_a_leader_that_was_paused_before_the_effect_does_not_act(two: tuple[Bench, Bench]) -> None:
    paused, second = two
    paused.post(alert())
    paused.turn(3)
    before = paused.actions()[0]
    assert before.state is State.LEASED
    expire(second)
    second.receiver.worker.recover()
    paused.turn()
    assert paused.receiver.journal.lease.fence == 0
    with pytest.raises(Fenced):
        paused.turn()
    assert second.actions()[0].state is State.EVALUATING
    assert second.run_until_ended().state is State.SUCCEEDED
    assert second.around.serving.reloads == 1
    assert second.actions()[0].fence == 2 > before.fence


def test_an_action_under_way_goes_over_to_the_new_fence_and_the_file_shuts_the_old_one_out(
    two: tuple[Bench, Bench],
) -> None:
    """The old leader wrote the file and could not tell the servers; its next try comes too late."""
    paused, second = two
    around = second.around
    around.serving.refuse_reload = (grpc.StatusCode.UNAVAILABLE, "later")
    paused.post(alert())
    paused.turn(5)
    old = paused.actions()[0]
    file = ModelConfigFile(around.models_config)
    assert (old.state, old.fence, file.read().fence, around.named()) == (State.UNKNOWN, 1, 1, (2,))
    expire(second)
    second.receiver.worker.recover()
    around.serving.refuse_reload = None
    assert second.run_until_ended().state is State.SUCCEEDED
    assert (second.actions()[0].fence, file.read().fence) == (2, 2)
    reloads = around.serving.reloads
    group = paused.receiver.settings.servings.servings[0]
    late = Change("digits", (2,), 2, frozenset({3}), frozenset({2, 3}), fence=1)
    effect = change(paused.receiver.lookout, group, late)
    assert (effect.result, effect.reason) == (Result.RETRY, "fenced")
    assert "was written under fence 2, this receiver has fence 1" in effect.text
    assert (around.serving.reloads, file.read().fence) == (reloads, 2)


def test_a_journal_that_was_moved_away_does_not_leave_airbag_unable_to_act(around: Surroundings) -> None:
    file = ModelConfigFile(around.models_config)
    text = file.read().text
    file.replace(file.read(), edit_versions(text, "digits", [1, 2]), fence=41)
    around.serving.load(around.models_config.read_text())
    with bench(around) as found:
        assert found.receiver.journal.lease.fence == 42
        found.released()
        around.bad_release()
        found.post(alert())
        assert found.run_until_ended().state is State.SUCCEEDED
        assert file.read().fence == 42


def test_a_reload_that_brings_a_file_of_a_higher_fence_begins_a_new_term(desk: Bench) -> None:
    file = ModelConfigFile(desk.around.models_config)
    file.replace(file.read(), file.read().text, fence=41)
    desk.receiver.reload()
    assert desk.receiver.journal.lease.fence == 42


def test_a_full_disk_keeps_an_effect_from_being_made_once_the_lease_ran_out(host: Host) -> None:
    lease = host.process()
    lease.tend()
    host.now += TTL
    lease._database.execute("PRAGMA query_only = 1")
    with pytest.raises(JournalError):
        lease.ensure()
    lease._database.execute("PRAGMA query_only = 0")
    lease.ensure()
    assert lease.is_valid
