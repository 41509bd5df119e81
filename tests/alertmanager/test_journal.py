"""The journal: durable, exclusive, and the same after a restart."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from airbag.errors import StartError
from airbag_rollback.engine.states import IllegalTransition, State
from airbag_rollback.journal import Journal, JournalError, Overtaken, Violated, open_journal
from airbag_rollback.journal.pauses import Pause
from airbag_rollback.journal.sqlite import SqliteDatabase
from airbag_rollback.journal.verify import verify_journal
from airbag_rollback.place import Place
from airbag_rollback.records import Action, Suspect

SUSPECT = Suspect("main", "digits", 3, "AirbagErrorRatioHigh", None)


@pytest.fixture
def journal(place: Place) -> Iterator[Journal]:
    found = open_journal(place, b"key")
    yield found
    found.close()


def opened(journal: Journal, version: int = 3) -> Action:
    suspect = Suspect("main", "digits", version, "AirbagErrorRatioHigh", None)
    return journal.actions.open_for(suspect, 100.0, 130.0)[0]


def moved(journal: Journal, action: Action, *states: State) -> Action:
    for state in states:
        action = journal.actions.move(action, state, 101.0, "r", "t")
    return action


def test_of_two_writers_one_wins(journal: Journal) -> None:
    action = opened(journal)
    journal.actions.move(action, State.EVALUATING, 101.0)
    with pytest.raises(Overtaken, match="moved on"):
        journal.actions.move(action, State.EVALUATING, 101.0)
    assert [event.after for event in journal.actions.events(action.id)] == ["RECEIVED", "EVALUATING"]


def test_an_illegal_transition_writes_nothing(journal: Journal) -> None:
    action = opened(journal)
    with pytest.raises(IllegalTransition):
        journal.actions.move(action, State.EXECUTING, 101.0)
    assert journal.actions.get(action.id) == action


def test_many_threads_open_one_action(journal: Journal) -> None:
    found: list[tuple[Action, bool]] = []
    threads = [
        threading.Thread(target=lambda: found.append(journal.actions.open_for(SUSPECT, 100.0, 130.0))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({action.id for action, _ in found}) == 1
    assert sorted(new for _, new in found) == [False] * 7 + [True]


@pytest.mark.parametrize(
    ("states", "opens_again"),
    [
        ((), False),
        ((State.EVALUATING, State.BLOCKED), False),
        ((State.EVALUATING, State.NEEDS_HUMAN), False),
        ((State.EVALUATING, State.SUPPRESSED), True),
        ((State.EVALUATING, State.PLANNED, State.LEASED, State.ARMED, State.EXECUTING, State.FAILED), True),
        ((State.EVALUATING, State.PLANNED, State.LEASED, State.ARMED, State.EXECUTING, State.VERIFY_MECHANISM,
          State.VERIFY_OUTCOME, State.SUCCEEDED), False),
    ],
)  # fmt: skip
def test_a_second_report_opens_an_action_only_when_nothing_was_done(
    journal: Journal, states: tuple[State, ...], opens_again: bool
) -> None:
    first = moved(journal, opened(journal), *states)
    second, new = journal.actions.open_for(SUSPECT, 102.0, 132.0)
    assert new is opens_again
    assert (second.id == first.id) is not opens_again


def test_one_action_at_a_time_may_touch_a_model(journal: Journal) -> None:
    moved(journal, opened(journal), State.EVALUATING, State.PLANNED, State.LEASED, State.ARMED)
    other = moved(journal, opened(journal, 4), State.EVALUATING, State.PLANNED)
    with pytest.raises(Overtaken, match="another action already touches digits on main"):
        moved(journal, other, State.LEASED)
    assert journal.actions.busy(other)


def test_the_end_and_the_message_about_it_are_written_together(journal: Journal) -> None:
    ended = moved(journal, opened(journal), State.EVALUATING, State.NEEDS_HUMAN)
    (message,) = journal.outbox.pending()
    assert message.alert["labels"]["action_id"] == str(ended.id)
    assert message.alert["labels"]["severity"] == "critical"
    journal.outbox.delivered(message, 102.0)
    assert journal.outbox.pending() == []


def test_events_cannot_be_changed_or_deleted(journal: Journal) -> None:
    opened(journal)
    with pytest.raises(Violated, match="append-only"), journal.database.write() as connection:
        connection.execute("UPDATE audit SET record = 'x'")


def test_everything_is_there_after_a_restart(place: Place) -> None:
    journal = open_journal(place, b"key")
    journal.deliveries.accept(b"body", 99.0)
    action = moved(journal, opened(journal), State.EVALUATING)
    journal.close()
    journal = open_journal(place, b"key")
    assert [delivery.body for delivery in journal.deliveries.pending()] == [b"body"]
    assert journal.actions.open() == [action]
    journal.close()


def test_every_commit_is_on_the_disk_before_it_returns(journal: Journal) -> None:
    if isinstance(journal.database, SqliteDatabase):
        asked = {"PRAGMA journal_mode": "wal", "PRAGMA synchronous": 2}
    else:
        asked = {"SHOW fsync": "on", "SHOW synchronous_commit": "on"}
    for question, answer in asked.items():
        assert journal.database.rows(question) == [(answer,)]


def twice(journal: Journal) -> None:
    """Two writes in one block, one of them refused."""
    with journal.database.write() as connection:
        connection.execute("INSERT INTO meta VALUES ('a', '1')")
        connection.execute("INSERT INTO meta VALUES ('a', '2')")


def test_a_write_that_is_refused_takes_those_of_its_block_with_it(journal: Journal) -> None:
    with pytest.raises(Violated):
        twice(journal)
    assert journal.database.rows("SELECT value FROM meta WHERE name = 'a'") == []
    assert not journal.database.last_error


def test_numbers_of_actions_follow_one_another_however_often_an_alert_comes(journal: Journal) -> None:
    for _ in range(5):
        opened(journal)
    assert [opened(journal, 4).id, opened(journal, 5).id] == [2, 3]


def test_writers_of_several_processes_make_one_chain(place: Place) -> None:
    with ExitStack() as stack:
        journals = [stack.enter_context(closing(open_journal(place, b"key"))) for _ in range(3)]

        def write(journal: Journal) -> None:
            for number in range(20):
                journal.audit.append("paused", {"number": number}, 1.0)

        threads = [threading.Thread(target=write, args=(journal,)) for journal in journals]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    report = verify_journal(place, [b"key"])
    assert (report.is_good, report.last) == (True, 60)


def test_a_receiver_that_a_newer_one_overtook_writes_nothing_any_more(journal: Journal) -> None:
    with journal.database.write() as connection:
        connection.execute("UPDATE meta SET value = '3' WHERE name = 'schema'")
    with pytest.raises(JournalError, match="is of schema 3 by now; start the Airbag that writes that"):
        journal.deliveries.accept(b"body", 1.0)
    assert "schema 3" in journal.database.last_error


def test_text_with_any_character_can_be_kept(journal: Journal) -> None:
    journal.pauses.begin(Pause("main", "digits", 1.0, None, "ada", "a \0 % ? ☃ reason"))
    (pause,) = journal.pauses.present(2.0)
    assert "% ? ☃ reason" in pause.reason


def test_a_journal_of_another_schema_or_a_damaged_one_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    open_journal(path, b"key").close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = '99'")
    connection.close()
    with pytest.raises(StartError, match="has schema 99, this Airbag writes 2"):
        open_journal(path, b"key")
    path.write_bytes(b"not a database" * 500)
    with pytest.raises(StartError, match="file is not a database"):
        open_journal(path, b"key")


def test_two_processes_share_a_journal_and_see_what_the_other_wrote(journal: Journal, place: Place) -> None:
    with closing(open_journal(place, b"key")) as other:
        other.deliveries.accept(b"body", 99.0)
        assert [each.body for each in journal.deliveries.pending()] == [b"body"]
        action = opened(journal)
        moved(other, other.actions.open()[0], State.EVALUATING)
        with pytest.raises(Overtaken, match="moved on"):
            moved(journal, action, State.EVALUATING)


def test_a_place_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="Make its folder writable, or change `journal`"):
        open_journal(tmp_path / "file" / "journal.sqlite", b"key")


def look(journal: Journal, now: float, *serves: int, wanted: tuple[int, ...] | None = None) -> int:
    named = None if wanted is None else frozenset(wanted)
    return journal.ledger.observe("main", "digits", frozenset(serves), named, now)


def test_the_epoch_grows_when_what_serves_or_what_is_wanted_changes(journal: Journal) -> None:
    epochs = [
        look(journal, 0, 2, wanted=(1, 2)), look(journal, 1, 2, wanted=(1, 2)), look(journal, 2, 2, wanted=(2, 3)),
        look(journal, 3, 3, wanted=(2, 3)), look(journal, 4, wanted=(2, 3)), look(journal, 5, 3, wanted=(2, 3)),
    ]  # fmt: skip
    assert epochs == [1, 1, 2, 3, 3, 3]


def test_the_ledger_adds_up_how_long_each_version_served(journal: Journal) -> None:
    look(journal, 0, 2)
    for second in range(10, 60, 10):
        look(journal, second, 2)
    look(journal, 60, 3)
    look(journal, 65, 2)
    served = {each.version: each for each in journal.ledger.served("main", "digits", 70.0)}
    assert (served[2].soak, served[2].last_until) == (65.0, None)
    assert (served[3].soak, served[3].last_until) == (5.0, 65.0)


def test_time_in_which_nobody_looked_is_no_proof(journal: Journal) -> None:
    look(journal, 0, 2)
    look(journal, 12, 2)
    look(journal, 5000, 3)
    served = {each.version: each for each in journal.ledger.served("main", "digits", 5000.0)}
    assert (served[2].soak, served[2].last_until) == (12.0, 12.0)


def test_a_release_counts_from_when_the_version_was_last_wanted_anew(journal: Journal) -> None:
    look(journal, 0, 3, wanted=(2, 3))
    look(journal, 10, 2, wanted=(2,))
    look(journal, 9000, 3, wanted=(2, 3))
    assert journal.ledger.released_at("main", "digits", 3) == 9000.0
    assert journal.ledger.released_at("main", "digits", 2) == 0.0
    assert journal.ledger.released_at("main", "digits", 4) is None
