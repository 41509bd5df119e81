"""A journal on another host: what cannot be written in time is an error, and nothing hangs or is torn."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import psycopg
import pytest

from airbag.errors import StartError
from airbag_rollback.engine.states import State
from airbag_rollback.journal import Fenced, Journal, JournalError, open_journal
from airbag_rollback.journal.lease import Lease
from airbag_rollback.journal.migrations import current
from airbag_rollback.journal.postgresql import CREATION, PATIENCE, PostgresqlDatabase
from airbag_rollback.journal.succession import TTL, SeveralHosts
from airbag_rollback.journal.verify import verify_journal
from airbag_rollback.place import PostgresqlJournal
from airbag_rollback.records import Suspect
from tests.fakes.cable import Cable
from tests.fakes.postgres_server import PASSWORD, PostgresServer
from tests.fakes.wait import until

KEY = b"key"
SUSPECT = Suspect("main", "digits", 3, "AirbagErrorRatioHigh", None)
END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND pid != pg_backend_pid()"

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND wait_event = 'advisory'"


@pytest.fixture
def name(postgres: PostgresServer) -> str:
    """An empty database."""
    return postgres.database()


@pytest.fixture
def place(postgres: PostgresServer, name: str) -> PostgresqlJournal:
    return postgres.place(name)


@pytest.fixture
def journal(place: PostgresqlJournal) -> Iterator[Journal]:
    with closing(open_journal(place, KEY)) as found:
        yield found


def test_receivers_that_start_at_once_on_an_empty_database_all_open_it(
    place: PostgresqlJournal, postgres: PostgresServer, name: str
) -> None:
    """The lock for making tables is held until every one of them waits for it, having seen that there are none."""
    waiting = WAITING.format(name)
    with psycopg.connect(postgres.words(name), password=PASSWORD) as first, ThreadPoolExecutor(3) as pool:
        first.execute("SELECT pg_advisory_xact_lock(%s)", (CREATION,))
        opened = [pool.submit(PostgresqlDatabase, place) for _ in range(3)]
        until(lambda: postgres.execute(waiting) == [(3,)], what="three that wait")
        first.commit()
        for each in opened:
            each.result(30).close()
    assert postgres.execute("SELECT value FROM meta WHERE name = 'schema'", name) == [(str(current()),)]


def test_a_session_that_the_server_ended_is_followed_by_another(
    journal: Journal, postgres: PostgresServer, name: str
) -> None:
    postgres.execute(END_SESSIONS.format(name))
    with pytest.raises(JournalError, match="terminating connection"):
        journal.deliveries.accept(b"lost", 1.0)
    assert "terminating connection" in journal.database.last_error
    until(lambda: journal.deliveries.accept(b"kept", 2.0), what="another session")
    assert journal.database.last_error == ""
    assert [each.body for each in journal.deliveries.pending()] == [b"kept"]


def test_a_session_that_ends_in_the_middle_of_a_transaction_leaves_nothing_of_it(
    journal: Journal, postgres: PostgresServer, name: str
) -> None:
    def torn() -> None:
        with journal.database.write():
            journal.deliveries.accept(b"a", 1.0)
            postgres.execute(END_SESSIONS.format(name))
            journal.deliveries.accept(b"b", 1.0)

    with pytest.raises(JournalError):
        torn()
    assert until(lambda: journal.deliveries.accept(b"c", 2.0), what="another session")
    assert [each.body for each in journal.deliveries.pending()] == [b"c"]


def test_who_stops_in_the_middle_of_a_transaction_holds_nobody_up_for_long(
    journal: Journal, place: PostgresqlJournal
) -> None:
    """As a paused leader: its session ends by itself, and with it its lock. What it goes on to write is refused."""

    def paused() -> None:
        with journal.database.write():
            journal.deliveries.accept(b"late", 1.0)
            with closing(open_journal(place, KEY)) as other:
                other.deliveries.accept(b"in time", 2.0)

    with pytest.raises(JournalError):
        paused()
    assert [each.body for each in until(journal.deliveries.pending, what="another session")] == [b"in time"]


def test_a_server_that_promises_nothing_is_refused(place: PostgresqlJournal, postgres: PostgresServer) -> None:
    def fsync(on: str) -> None:
        postgres.execute(f"ALTER SYSTEM SET fsync = {on}")
        postgres.execute("SELECT pg_reload_conf()")
        until(lambda: postgres.execute("SHOW fsync") == [(on,)], what=f"fsync = {on}")

    fsync("off")
    try:
        with pytest.raises(StartError, match=r"has fsync = off .* could lose what was promised\. Turn both on"):
            PostgresqlDatabase(place, patience=0)
    finally:
        fsync("on")


def test_commits_wait_for_the_disk_also_where_the_server_would_not(
    place: PostgresqlJournal, postgres: PostgresServer, name: str
) -> None:
    postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    with closing(PostgresqlDatabase(place)) as database:
        assert database.rows("SHOW synchronous_commit") == [("on",)]


def test_a_server_that_is_not_there_is_named_with_what_to_look_at(postgres: PostgresServer) -> None:
    nowhere = postgres.place("nowhere")
    with pytest.raises(StartError, match=r"database nowhere on 127\.0\.0\.1: .* does not exist.* Is `journal` right"):
        PostgresqlDatabase(nowhere, patience=0)


def test_a_wrong_password_is_told_without_the_password(
    place: PostgresqlJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRBAG_TEST_PASSWORD", "not-the-one")
    wrong = place.model_copy(
        update={"password": place.password.model_copy(update={"file": None, "env": "AIRBAG_TEST_PASSWORD"})}
    )  # type: ignore[union-attr] # it has one
    with pytest.raises(StartError, match="password authentication failed") as refusal:
        PostgresqlDatabase(wrong, patience=0)
    assert "not-the-one" not in str(refusal.value)


def test_a_database_that_takes_nothing_leaves_all_as_it_was(journal: Journal, place: PostgresqlJournal) -> None:
    """Read-only, as a server is that was made a standby or ran out of room."""
    action, _ = journal.actions.open_for(SUSPECT, 100.0, 130.0)
    journal.database.execute("SET default_transaction_read_only = on")
    for write in (
        lambda: journal.deliveries.accept(b"x", 1.0),
        lambda: journal.actions.move(action, State.EVALUATING, 101.0),
        lambda: journal.notes.acting(False, 5.0),
        journal.lease.tend,
    ):
        with pytest.raises(JournalError, match="read-only"):
            write()
        assert "read-only" in journal.database.last_error
    assert journal.actions.open() == [action], "it can be read all the same"
    journal.database.execute("SET default_transaction_read_only = off")
    assert journal.lease.tend()
    assert journal.database.last_error == ""
    assert verify_journal(place, [KEY]).is_good


@pytest.mark.parametrize("how", ["silent", "refusing"])
def test_a_cable_that_is_cut_costs_an_error_in_time_and_nothing_else(
    postgres: PostgresServer, name: str, how: str
) -> None:
    with Cable(postgres.port) as cable, closing(open_journal(postgres.place(name, cable.port), KEY)) as journal:
        journal.deliveries.accept(b"before", 1.0)
        cable.cut(how)  # type: ignore[arg-type] # one of its words
        began = time.monotonic()
        with pytest.raises(JournalError, match=r"no answer in|closed|reset"):
            journal.deliveries.accept(b"lost", 2.0)
        assert time.monotonic() - began < PATIENCE + 5
        assert journal.database.last_error
        quick = threading.Event()

        def asks() -> None:
            for _ in range(3):
                with pytest.raises(JournalError):
                    journal.database.rows("SELECT 1")
            quick.set()

        threads = [threading.Thread(target=asks) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert quick.is_set()
        cable.mend()
        until(lambda: journal.deliveries.accept(b"after", 3.0), timeout=30, what="the server again")
        bodies = [each.body for each in journal.deliveries.pending()]
        assert bodies in ([b"before", b"after"], [b"before", b"lost", b"after"]), "a commit whose answer was lost"


def test_a_report_lies_in_the_database_and_goes_with_the_one_that_takes_its_place(
    journal: Journal, place: PostgresqlJournal
) -> None:
    action, _ = journal.actions.open_for(SUSPECT, 100.0, 130.0)
    journal.reports.attach(action.id, b"<!doctype html>first", "olga", 101.0)
    journal.reports.attach(action.id, b"<!doctype html>second", "olga", 102.0)
    with closing(open_journal(place, KEY)) as other:
        assert other.reports.read(action.id) == b"<!doctype html>second"
    assert journal.database.rows("SELECT count(*) FROM reports") == [(1,)]
    with journal.database.write() as connection:
        connection.execute("UPDATE reports SET document = ?", (b"<!doctype html>forged",))
    with pytest.raises(JournalError, match="is not what olga attached; attach the report again"):
        journal.reports.read(action.id)


@dataclass
class Hosts:
    """Processes on several hosts, each with a clock of its own."""

    place: PostgresqlJournal
    stack: ExitStack
    clocks: list[float] = field(default_factory=list)
    seen: int = 0

    def process(self, clock: float) -> Lease:
        number = len(self.clocks)
        self.clocks.append(clock)
        database = self.stack.enter_context(closing(PostgresqlDatabase(self.place)))
        return Lease(
            database, SeveralHosts(lambda: self.clocks[number]), lambda: self.seen, lambda: self.clocks[number]
        )

    def later(self, seconds: float) -> None:
        """Time passes for all."""
        self.clocks = [each + seconds for each in self.clocks]


@pytest.fixture
def hosts(place: PostgresqlJournal) -> Iterator[Hosts]:
    with ExitStack() as stack:
        yield Hosts(place, stack)


@pytest.fixture
def two(hosts: Hosts) -> tuple[Lease, Lease]:
    """A leader, and a standby on a host whose clock says something quite different."""
    first, second = hosts.process(1_000_000.0), hosts.process(50.0)
    assert (first.tend(), second.tend()) == (True, False)
    return first, second


def test_a_lease_across_hosts_is_renewed_and_does_not_run_out(hosts: Hosts, two: tuple[Lease, Lease]) -> None:
    first, second = two
    for _ in range(20):
        hosts.later(TTL - 0.1)
        assert (first.tend(), second.tend()) == (True, False)
    assert (first.fence, first.is_valid, second.is_valid) == (1, True, False)


def test_who_follows_on_another_host_has_seen_no_renewal_for_as_long_as_a_lease_holds(
    hosts: Hosts, two: tuple[Lease, Lease]
) -> None:
    first, second = two
    hosts.later(TTL)
    assert not first.is_valid
    assert not second.tend(), "the slower of two clocks has the last word"
    hosts.later(0.25)
    assert second.tend()
    assert second.fence == 2


def test_who_just_came_does_not_believe_what_it_did_not_see(hosts: Hosts, two: tuple[Lease, Lease]) -> None:
    hosts.later(1000.0)
    third = hosts.process(9e9)
    assert not third.tend()
    hosts.later(TTL + 0.25)
    assert third.tend()


def test_a_leader_on_another_host_that_was_paused_learns_it_from_the_first_thing_it_writes(
    hosts: Hosts, two: tuple[Lease, Lease]
) -> None:
    first, second = two
    with first.leading():
        hosts.later(TTL + 0.25)
        second.tend()
        with pytest.raises(Fenced, match="had fence 1; another one leads under fence 2"), first._database.write() as it:
            it.execute("INSERT INTO meta VALUES ('late', 'write')")
    assert second._database.rows("SELECT * FROM meta WHERE name = 'late'") == []
    assert (first.fence, first.tend()) == (0, False)


def test_a_leader_that_ends_lets_one_on_another_host_follow_at_once(two: tuple[Lease, Lease]) -> None:
    first, second = two
    first.give_up()
    assert second.tend()


def test_a_grant_whose_answer_was_lost_is_taken_up_again(hosts: Hosts) -> None:
    lease = hosts.process(1.0)
    lease.tend()
    lease._database.fence = 0  # as it believes when the commit's answer did not come
    assert lease.tend()
    assert lease.fence == 2


def test_the_fence_across_hosts_is_above_every_one_that_a_file_has_seen(hosts: Hosts) -> None:
    hosts.seen = 41
    lease = hosts.process(1.0)
    lease.tend()
    assert lease.fence == 42
