"""Storage and clocks at their worst: torn files, full and read-only disks, a clock that jumps."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import requests
from prometheus_client import CollectorRegistry

from airbag.errors import StartError
from airbag_rollback.config import load_settings
from airbag_rollback.engine.states import State
from airbag_rollback.journal import Journal, JournalError, open_journal
from airbag_rollback.journal.pauses import Pause
from airbag_rollback.journal.retention import Retention
from airbag_rollback.journal.verify import verify_journal
from airbag_rollback.quiet import Quiet, SteadyClock
from airbag_rollback.receiver import assemble
from airbag_rollback.records import Suspect
from tests.fakes.clock import SetClock
from tests.fakes.rollback import Bench, Process, Surroundings, alert, process
from tests.fakes.wait import until

KEY = b"key"
SUSPECT = Suspect("main", "digits", 3, "AirbagErrorRatioHigh", None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def states(journal: Journal) -> list[str]:
    return [each.fields["after"] for each in journal.audit.records() if each.kind == "transition"]


def worked(journal: Journal) -> None:
    """A delivery, and an action that was moved five times."""
    journal.deliveries.accept(b"x" * 3000, 1.0)
    action, _ = journal.actions.open_for(SUSPECT, 100.0, 130.0)
    for to in (State.EVALUATING, State.PLANNED, State.LEASED, State.ARMED, State.EXECUTING):
        action = journal.actions.move(action, to, 101.0)


def test_a_log_that_was_torn_anywhere_leaves_a_whole_beginning(path: Path, tmp_path: Path) -> None:
    """As after a crash before the disk had taken all: the main file, and the log up to some byte."""
    with closing(open_journal(path, KEY)) as journal:
        worked(journal)
        whole = states(journal)
        log = path.with_name("journal.sqlite-wal").read_bytes()
        main = path.read_bytes()
    assert len(log) > 20_000
    seen = set()
    for length in [*range(0, len(log) // 2, 40_000), *range(len(log) // 2, len(log), 3333), len(log)]:
        torn = tmp_path / "torn.sqlite"
        for left in tmp_path.glob("torn.sqlite*"):
            left.unlink()
        torn.write_bytes(main)
        torn.with_name("torn.sqlite-wal").write_bytes(log[:length])
        with closing(open_journal(torn, KEY)) as journal:
            found = states(journal)
            assert found == whole[: len(found)]
            assert [action.state for action in journal.actions.open()] == found[-1:]
            seen.add(len(found))
            journal.actions.open_for(Suspect("main", "other", 8, "x", None), 200.0, 230.0)
        assert verify_journal(torn, [KEY]).is_good
    assert seen == set(range(len(whole) + 1)), "the cut fell between every two transitions"


def test_a_byte_that_flipped_in_the_log_ends_it_there(path: Path, tmp_path: Path) -> None:
    with closing(open_journal(path, KEY)) as journal:
        worked(journal)
        log = bytearray(path.with_name("journal.sqlite-wal").read_bytes())
        main = path.read_bytes()
    log[len(log) * 7 // 8] ^= 0xFF
    torn = tmp_path / "torn.sqlite"
    torn.write_bytes(main)
    torn.with_name("torn.sqlite-wal").write_bytes(log)
    with closing(open_journal(torn, KEY)) as journal:
        assert 0 < len(states(journal)) < 6
    assert verify_journal(torn, [KEY]).is_good


@pytest.mark.parametrize("damage", ["cut", "zeros"])
def test_a_journal_whose_last_pages_are_damaged_stops_the_start_and_is_left_as_it_is(path: Path, damage: str) -> None:
    with closing(open_journal(path, KEY)) as journal:
        worked(journal)
    size = path.stat().st_size
    with path.open("r+b") as file:
        if damage == "cut":
            file.truncate(size - 5000)
        else:
            file.seek(size - 12_000)
            file.write(bytes(12_000))
    before = path.read_bytes()
    with pytest.raises(StartError, match="a damaged one can be moved away"):
        open_journal(path, KEY)
    assert path.read_bytes() == before


@contextmanager
def full() -> Iterator[None]:
    """No file of this process can grow or be written any more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def _forget(journal: Journal) -> object:
    return Retention(journal.database, journal.audit, journal.deliveries).forget(1e9, 1.0, 1.0)


WRITES: dict[str, Callable[[Journal], object]] = {
    "accept": lambda journal: journal.deliveries.accept(b"body", 1.0),
    "admit": lambda journal: journal.deliveries.admitted(journal.deliveries.pending()[0], ["opened"], 2.0),
    "open": lambda journal: journal.actions.open_for(Suspect("main", "digits", 4, "x", None), 200.0, 230.0),
    "move": lambda journal: journal.actions.move(journal.actions.open()[0], State.VERIFY_MECHANISM, 300.0),
    "end": lambda journal: journal.actions.move(journal.actions.open()[0], State.NEEDS_HUMAN, 300.0),
    "note": lambda journal: journal.actions.note(journal.actions.open()[0], reason="x"),
    "pause": lambda journal: journal.pauses.begin(Pause("main", "digits", 1.0, None, "ada", "")),
    "quarantine": lambda journal: journal.quarantine.put("main", "digits", 3, "ada", "", 1.0),
    "ledger": lambda journal: journal.ledger.observe("main", "digits", frozenset({2}), None, 5.0),
    "told": lambda journal: journal.outbox.delivered(journal.outbox.pending()[0], 9.0),
    "acting": lambda journal: journal.notes.acting(False, 5.0),
    "lease": lambda journal: journal.lease._renew(),
    "retention": _forget,
    "key": lambda journal: journal.audit.append("key changed", {}, 1.0),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_full_disk_at_any_write_leaves_all_as_it_was_and_the_write_can_be_made_later(path: Path, write: str) -> None:
    with closing(open_journal(path, KEY)) as journal:
        journal.lease.tend()
        first, _ = journal.actions.open_for(Suspect("main", "other", 8, "x", None), 1.0, 2.0)
        journal.actions.move(first, State.NEEDS_HUMAN, 2.0)
        worked(journal)
        before = list(journal.database._connection.iterdump())
        with full(), pytest.raises(JournalError):
            WRITES[write](journal)
        assert journal.database.last_error
        assert list(journal.database._connection.iterdump()) == before
        WRITES[write](journal)
        assert not journal.database.last_error
    assert verify_journal(path, [KEY]).is_good


def test_a_disk_that_becomes_read_only_is_an_error_of_the_journal_and_nothing_else(path: Path) -> None:
    with closing(open_journal(path, KEY)) as journal:
        worked(journal)
        journal.database.execute("PRAGMA query_only = 1")
        with pytest.raises(JournalError, match="readonly"):
            journal.deliveries.accept(b"x", 1.0)
        assert len(journal.actions.open()) == 1, "it can be read all the same"
        journal.database.execute("PRAGMA query_only = 0")
        journal.deliveries.accept(b"x", 1.0)


class Wall:
    """A machine's two clocks; only one of them can be set."""

    def __init__(self) -> None:
        self.monotonic = SetClock(5_000.0)
        self.apart = 1_000_000.0

    def now(self) -> float:
        return self.monotonic.time + self.apart


def test_the_time_of_day_goes_on_evenly_until_it_is_taken_from_the_wall() -> None:
    wall = Wall()
    clock = SteadyClock(wall.now, wall.monotonic.now)
    wall.apart += 3600
    wall.monotonic.time += 7
    assert clock.now() == 1_005_007.0
    clock.follow()
    assert clock.now() == wall.now() == 1_008_607.0
    assert clock.monotonic() == 5_007.0


@pytest.fixture(params=[3600.0, -3600.0], ids=["forward", "back"])
def jump(request: pytest.FixtureRequest) -> float:
    found: float = request.param
    return found


def test_a_clock_that_jumps_in_the_middle_of_an_action_neither_ends_nor_stretches_it(
    desk: Bench, around: Surroundings, jump: float
) -> None:
    """The steady clock goes with the test's; the wall jumps right after the touch, and a version hangs."""
    wall = Wall()
    wall.monotonic = desk.clock
    wall.apart = 0.0
    steady = SteadyClock(wall.now, desk.clock.now)
    around.serving.stuck.add(2)
    with on(desk, around, steady) as journal:
        desk.post(alert())
        desk.turn(5)
        action = journal.actions.open()[0]
        assert action.state is State.VERIFY_MECHANISM
        wall.apart += jump
        for _ in range(30):
            desk.clock.time += 1
            desk.turn()
        assert journal.actions.open()[0].state is State.VERIFY_MECHANISM, "half of switch_within"
        for _ in range(40):
            desk.clock.time += 1
            desk.turn()
        (ended,) = journal.actions.latest()
        assert (ended.state, ended.reason) == (State.NEEDS_HUMAN, "switch_unverified")
        desk.turn()
        assert steady.now() == wall.now(), "nothing is under way any more"


@contextmanager
def on(desk: Bench, around: Surroundings, clock: SteadyClock) -> Iterator[Journal]:
    """The desk's receiver anew, on that clock, which it takes from the wall when it is quiet."""
    desk.receiver.lookout.close()
    desk.receiver.journal.close()
    desk.receiver = assemble(around.policy_file, load_settings(around.policy_file), CollectorRegistry(), clock)
    journal = desk.receiver.journal
    forgets = Retention(journal.database, journal.audit, journal.deliveries)
    desk.receiver.worker._quiet = Quiet(clock.now, lambda: desk.receiver.settings.policy.keep, forgets, clock.follow)
    yield journal


def test_a_restart_after_a_jump_gives_an_action_its_time_and_no_hour_more(desk: Bench, jump: float) -> None:
    desk.around.serving.stuck.add(2)
    desk.post(alert())
    desk.turn(5)
    assert desk.actions()[0].state is State.VERIFY_MECHANISM
    desk.clock.time += jump
    desk.restart()
    now, policy = desk.clock.time, desk.receiver.settings.policy
    deadline = desk.actions()[0].deadline
    assert now + policy.switch_within <= deadline <= now + policy.blocked_within
    desk.turn()
    assert desk.receiver.journal.actions.open(), "it did not time out at once"


def leads(receiver: Process) -> bool:
    return "airbag_rollback_leader 1.0\n" in requests.get(f"{receiver.url}/metrics", timeout=10).text


def test_a_standby_that_restarts_disturbs_nobody(around: Surroundings) -> None:
    around.write_policy(mode="observe")
    with process(around) as leader:
        for _ in range(2):
            with process(around) as standby:
                assert standby.post(alert(version=99)) == 202
                standby.kill()
            until(lambda: leads(leader), timeout=30, what="the leader to lead on")
        until(lambda: leader.actions(), timeout=30, what="what the standby accepted before it died")


def test_a_leader_whose_disk_takes_nothing_is_followed_by_one_whose_disk_does(around: Surroundings) -> None:
    """Only the leader's own writes fail here; on a disk that is full for both nobody leads."""
    around.write_policy(mode="observe")
    with process(around) as leader, process(around) as standby:
        before = resource.prlimit(leader.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(leader.process.pid, resource.RLIMIT_FSIZE, (0, before[1]))
        until(lambda: leads(standby), timeout=30, what="the standby to lead")
        assert not leads(leader)
        assert standby.post(alert(version=99)) == 202
        until(lambda: standby.actions(), timeout=30, what="the alert to be admitted")
        resource.prlimit(leader.process.pid, resource.RLIMIT_FSIZE, before)
        until(lambda: leader.post(alert(version=98)) == 202, timeout=20, what="the former leader to take alerts again")
        assert leads(standby)
