"""The audit: append-only, forgets only its beginning, and shows whatever else was done to it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from airbag.errors import ConfigError
from airbag_rollback.engine.states import State
from airbag_rollback.journal import Journal, Violated, open_journal
from airbag_rollback.journal.audit import START, Record, canonical, head_number, key_id, mac
from airbag_rollback.journal.export import read_export, write_export
from airbag_rollback.journal.pauses import Pause
from airbag_rollback.journal.retention import Retention
from airbag_rollback.journal.verify import Report, verify, verify_journal
from airbag_rollback.place import Place
from airbag_rollback.records import Action, Suspect
from tests.fakes.postgres_server import PASSWORD, PostgresServer

KEY, OLD = b"key", b"the key before"


@pytest.fixture
def journal(place: Place) -> Iterator[Journal]:
    with closing(open_journal(place, KEY)) as found:
        yield found


def history(journal: Journal, version: int = 3, at: float = 100.0) -> Action:
    """An action that comes to nothing: three records."""
    suspect = Suspect("main", "digits", version, "AirbagErrorRatioHigh", None)
    action, _ = journal.actions.open_for(suspect, at, at + 30)
    action = journal.actions.move(action, State.EVALUATING, at + 1)
    return journal.actions.move(action, State.SUPPRESSED, at + 2, "good", "it is good")


def tampered(place: Place, *statements: str) -> Report:
    """What somebody does who may write the file or the tables but has no key."""
    if isinstance(place, Path):
        with closing(sqlite3.connect(place, isolation_level=None)) as connection:
            for trigger in ("changed", "replaced", "deleted"):
                connection.execute(f"DROP TRIGGER audit_is_not_{trigger}")
            for statement in statements:
                connection.execute(statement)
    else:
        with psycopg.connect(place.postgresql, password=PASSWORD, autocommit=True) as owner:
            for statement in ("ALTER TABLE audit DISABLE TRIGGER USER", *statements):
                owner.execute(statement)
    return verify_journal(place, [KEY])


def test_what_was_written_verifies_and_each_record_names_algorithm_and_key(journal: Journal, place: Place) -> None:
    history(journal)
    assert verify_journal(place, [KEY]) == Report(1, 3, journal.audit.head()[1])
    for record in journal.audit.records():
        assert (record.fields["algorithm"], record.fields["key"]) == ("hmac-sha256", key_id(KEY))


def test_an_empty_audit_is_good(journal: Journal, place: Place) -> None:
    assert verify_journal(place, [KEY]) == Report(1, 0, START)


def test_a_field_cannot_pass_for_what_is_signed_about_the_record(journal: Journal) -> None:
    journal.audit.append("paused", {"algorithm": "none", "key": "", "seq": 9, "kind": "x", "at": 0}, 5.0)
    (record,) = journal.audit.records()
    assert {name: record.fields[name] for name in ("algorithm", "key", "seq", "kind", "at")} == {
        "algorithm": "hmac-sha256", "key": key_id(KEY), "seq": 1, "kind": "paused", "at": 5.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET at = 0 WHERE seq = 1",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE seq = 3",
        "INSERT INTO audit SELECT 2, at, kind, action_id, record, mac FROM audit WHERE seq = 1 "
        "ON CONFLICT (seq) DO UPDATE SET record = excluded.record",
        "INSERT INTO audit SELECT 0, at, kind, action_id, record, mac FROM audit WHERE seq = 1",
    ],
    ids=["update", "delete all", "delete the last", "replace", "insert before"],
)
def test_records_cannot_be_changed_removed_or_replaced(journal: Journal, place: Place, statement: str) -> None:
    history(journal)
    with pytest.raises(Violated, match="append-only"), journal.database.write() as connection:
        connection.execute(statement)
    assert verify_journal(place, [KEY]).is_good


def test_the_audit_cannot_be_emptied_as_a_whole(postgres: PostgresServer) -> None:
    place = postgres.place(postgres.database())
    with closing(open_journal(place, KEY)) as journal:
        history(journal)
        with pytest.raises(Violated, match="append-only"), journal.database.write() as connection:
            connection.execute("TRUNCATE audit")
    assert verify_journal(place, [KEY]).last == 3


@pytest.mark.parametrize(
    ("statements", "seq", "kind"),
    [
        (["UPDATE audit SET record = replace(record, 'good', 'evil') WHERE seq = 3"], 3, "changed"),
        (["UPDATE audit SET at = 7 WHERE seq = 2"], 2, "changed"),
        (["UPDATE audit SET kind = 'paused' WHERE seq = 2"], 2, "changed"),
        (["UPDATE audit SET action_id = 7 WHERE seq = 2"], 2, "changed"),
        (["UPDATE audit SET mac = (SELECT mac FROM audit WHERE seq = 1) WHERE seq = 2"], 2, "changed"),
        (["UPDATE audit SET record = 'nonsense' WHERE seq = 2"], 2, "changed"),
        (["UPDATE audit SET record = '[]' WHERE seq = 2"], 2, "changed"),
        (["DELETE FROM audit WHERE seq = 2"], 2, "missing"),
        (["DELETE FROM audit WHERE seq = 2", "UPDATE audit SET seq = 2 WHERE seq = 3"], 2, "missing"),
        (["DELETE FROM audit WHERE seq = 1"], 1, "missing"),
        (
            ["UPDATE audit SET seq = 4 WHERE seq = 3", "UPDATE audit SET seq = 3 WHERE seq = 2",
             "INSERT INTO audit SELECT 2, at, kind, action_id, record, mac FROM audit WHERE seq = 1"], 2, "inserted",
        ),
        (
            ["UPDATE audit SET seq = 4 WHERE seq = 3", "UPDATE audit SET seq = 3 WHERE seq = 2",
             "INSERT INTO audit SELECT 2, at, kind, action_id, "
             "replace(record, '\"reason\":\"\"', '\"reason\":\"x\"'), mac FROM audit WHERE seq = 3"], 2, "inserted",
        ),
        (["UPDATE audit SET record = replace(record, 'hmac-sha256', 'none') WHERE seq = 2"], 2, "algorithm"),
        (
            ["INSERT INTO audit_anchor SELECT 1, seq, mac FROM audit WHERE seq = 2",
             "DELETE FROM audit WHERE seq <= 2"], 2, "missing",
        ),
    ],
    ids=[
        "text", "time", "kind", "action", "mac", "no JSON", "no object", "removed", "removed and renumbered", "first",
        "copied in", "forged in", "algorithm", "cut as retention does",
    ],
)  # fmt: skip
def test_the_first_wrong_record_is_named_with_what_was_done_to_it(
    journal: Journal, place: Place, statements: list[str], seq: int, kind: str
) -> None:
    history(journal)
    assert verify_journal(place, [KEY]).is_good
    wrong = tampered(place, *statements).wrong
    assert wrong is not None
    assert (wrong.seq, wrong.kind) == (seq, kind), wrong


def test_a_chain_that_somebody_made_with_a_key_of_his_own_is_no_audit(journal: Journal, place: Place) -> None:
    history(journal)
    wrong = verify_journal(place, [b"another key"]).wrong
    assert wrong is not None
    assert (wrong.seq, wrong.kind) == (1, "wrong key")
    assert key_id(KEY) in wrong.text
    assert key_id(b"another key") in wrong.text


def test_records_that_vanish_at_the_end_show_by_what_others_saw(journal: Journal, place: Place) -> None:
    history(journal)
    seen = {seq: {head[:12]} for seq, head in [journal.audit.head()]}
    assert verify_journal(place, [KEY], seen).is_good
    report = tampered(place, "DELETE FROM audit WHERE seq = 3")
    assert report.is_good, "nothing in the journal itself shows it"
    wrong = verify_journal(place, [KEY], seen).wrong
    assert wrong is not None
    assert (wrong.seq, wrong.kind) == (3, "truncated")


def test_an_audit_that_was_written_anew_with_the_key_shows_by_what_others_saw(place: Place, tmp_path: Path) -> None:
    with closing(open_journal(place, KEY)) as journal:
        history(journal)
        seen = {2: {journal.audit.records()[1].mac[:12]}}
    with closing(open_journal(tmp_path / "anew.sqlite", KEY)) as journal:
        history(journal, 4)
        history(journal, 5)
    wrong = verify_journal(tmp_path / "anew.sqlite", [KEY], seen).wrong
    assert wrong is not None
    assert (wrong.seq, wrong.kind) == (2, "rewritten")


def test_the_head_as_a_number_is_exact_and_the_same_in_hex(journal: Journal) -> None:
    history(journal)
    _, head = journal.audit.head()
    assert f"{int(float(head_number(head))):012x}" == head[:12]


def test_a_new_key_is_taken_down_once_and_both_are_needed_to_verify_all(place: Place) -> None:
    with closing(open_journal(place, OLD)) as journal:
        journal.audit.sign_on(1.0)
        assert journal.audit.head() == (0, START)
        history(journal)
        before = journal.audit.head()[1]
    for _ in range(2):
        with closing(open_journal(place, KEY)) as journal:
            journal.audit.sign_on(200.0)
    with closing(open_journal(place, KEY)) as journal:
        history(journal, 4)
        assert [each.kind for each in journal.audit.records()] == ["transition"] * 3 + ["key changed"] + [
            "transition"
        ] * 3
        fields = journal.audit.records()[3].fields
    assert (fields["key_before"], fields["mac_before"]) == (key_id(OLD), before)
    report = verify_journal(place, [KEY])
    assert (report.wrong, report.foreign, report.is_good) == (None, ((1, 3, key_id(OLD)),), False)
    assert verify_journal(place, [KEY, OLD]).is_good
    wrong = tampered(place, "UPDATE audit SET mac = '00' WHERE seq = 3").wrong
    assert wrong is not None
    assert (wrong.seq, wrong.kind) == (4, "changed"), "the record of the change holds on to what was before it"


def retention(journal: Journal) -> Retention:
    return Retention(journal.database, journal.audit, journal.deliveries)


def counts(journal: Journal) -> dict[str, int]:
    tables = ("actions", "audit", "outbox", "effects", "deliveries")
    return {table: journal.database.rows(f"SELECT count(*) FROM {table}")[0][0] for table in tables}  # noqa: S608


def test_old_actions_go_with_their_records_and_the_rest_verifies(journal: Journal, place: Place) -> None:
    history(journal, 3, at=100.0)
    history(journal, 4, at=5000.0)
    assert not retention(journal).forget(1000.0, 1e9, 900.0), "nothing is old enough"
    assert retention(journal).forget(5100.0, 1e9, 1000.0)
    assert [action.bad_version for action in journal.actions.latest()] == [4]
    assert counts(journal) | {"deliveries": 0} == {"actions": 1, "audit": 4, "outbox": 1, "effects": 0, "deliveries": 0}
    assert [(each.seq, each.kind) for each in journal.audit.records()][::3] == [(4, "transition"), (7, "retention")]
    report = verify_journal(place, [KEY])
    assert (report.is_good, report.first, report.last) == (True, 4, 7)
    assert not retention(journal).forget(5100.0, 1e9, 1000.0)
    assert journal.audit.head()[0] == 7


def test_retention_cuts_only_up_to_the_first_action_that_is_open_or_young(journal: Journal, place: Place) -> None:
    suspect = Suspect("main", "digits", 9, "AirbagErrorRatioHigh", None)
    history(journal, 3, at=100.0)
    waiting, _ = journal.actions.open_for(suspect, 200.0, 9e9)
    history(journal, 4, at=300.0)
    assert retention(journal).forget(1e6, 1e9, 1000.0)
    assert {action.bad_version for action in journal.actions.latest()} == {9, 4}
    assert not retention(journal).forget(1e6 + 5000, 1e9, 1000.0)
    assert verify_journal(place, [KEY]).is_good
    assert journal.actions.get(waiting.id) == waiting


def test_an_action_that_holds_its_release_back_outlives_its_records(journal: Journal, place: Place) -> None:
    journal.ledger.observe("main", "digits", frozenset({3}), None, 90.0)
    suspect = Suspect("main", "digits", 3, "AirbagErrorRatioHigh", None)
    action, _ = journal.actions.open_for(suspect, 100.0, 130.0)
    journal.actions.move(action, State.NEEDS_HUMAN, 101.0, "stuck")
    assert retention(journal).forget(1e6, 1e9, 1000.0)
    assert journal.actions.open_for(suspect, 1e6, 1e6)[0].id == action.id
    journal.ledger.observe("main", "digits", frozenset({2}), None, 1e6)
    history(journal, 5, at=1e6)
    assert retention(journal).forget(2e6, 1e9, 1000.0)
    assert journal.actions.get(action.id) is None
    assert verify_journal(place, [KEY]).is_good


def test_retention_takes_a_part_at_a_time(journal: Journal, place: Place) -> None:
    for number in range(300):
        journal.pauses.begin(Pause("main", "digits", float(number), None, "ada", ""))
        journal.deliveries.accept(b"x", float(number))
    for number in range(400):
        journal.audit.append("paused", {}, 300.0 + number)
    with journal.database.write() as connection:
        connection.execute("UPDATE deliveries SET admitted_at = received_at")
    forgets = retention(journal)
    assert forgets.forget(1e6, 1000.0, 1000.0)
    assert counts(journal)["deliveries"] == 0
    assert counts(journal)["audit"] == 201
    assert verify_journal(place, [KEY]).is_good
    assert forgets.forget(1e6, 1000.0, 1000.0)
    assert [each.kind for each in journal.audit.records()] == ["retention", "retention"]
    assert verify_journal(place, [KEY]).is_good


def test_deliveries_that_nobody_looked_at_stay_however_old(journal: Journal) -> None:
    journal.deliveries.accept(b"x", 1.0)
    assert not retention(journal).forget(1e9, 10.0, 1e12)
    assert [each.body for each in journal.deliveries.pending()] == [b"x"]


def exported(journal: Journal, path: Path) -> Path:
    write_export(journal.audit.all(), journal.audit.kept(), path)
    return path


def read_report(path: Path) -> Report:
    kept, records = read_export(path)
    return verify(records, [KEY], kept)


def test_an_export_verifies_as_the_journal_does_also_after_retention(journal: Journal, tmp_path: Path) -> None:
    history(journal)
    assert read_report(exported(journal, tmp_path / "a")) == Report(1, 3, journal.audit.head()[1])
    history(journal, 4, at=5000.0)
    retention(journal).forget(5100.0, 1e9, 1000.0)
    report = read_report(exported(journal, tmp_path / "a"))
    assert (report.is_good, report.first, report.last) == (True, 4, 7)


def without_line(number: int) -> Callable[[list[str]], list[str]]:
    return lambda lines: lines[:number] + lines[number + 1 :]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (without_line(2), "missing"),
        (lambda lines: [line.replace('"good"', '"evil"') for line in lines], "changed"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], "inserted"),
    ],
    ids=["removed", "changed", "doubled"],
)
def test_a_changed_export_is_found_out(
    journal: Journal, tmp_path: Path, change: Callable[[list[str]], list[str]], kind: str
) -> None:
    history(journal)
    path = exported(journal, tmp_path / "a")
    lines = change(path.read_text().splitlines(keepends=True))
    lines[-1] = json.dumps({"records": len(lines) - 2}) + "\n"
    path.write_text("".join(lines))
    wrong = read_report(path).wrong
    assert wrong is not None
    assert wrong.kind == kind


@pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense\n", '{"begins_after": 0, "mac": "0"}\n', "\xff"])
def test_what_is_no_whole_export_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a").write_text(text)
    with pytest.raises(ConfigError, match="line"):
        read_report(tmp_path / "a")


def test_an_export_that_was_cut_off_is_refused(journal: Journal, tmp_path: Path) -> None:
    history(journal)
    path = exported(journal, tmp_path / "a")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(ConfigError, match="does not end with it"):
        read_report(path)


def test_a_record_that_is_no_longer_as_it_was_signed_is_exported_as_it_is(journal: Journal, tmp_path: Path) -> None:
    history(journal)
    first, *rest = journal.audit.records()
    write_export([replace(first, text=first.text.replace(",", ", ", 1)), *rest], (0, START), tmp_path / "a")
    wrong = read_report(tmp_path / "a").wrong
    assert wrong is not None
    assert (wrong.seq, wrong.kind) == (1, "changed")


def test_verifying_reads_one_moment_while_others_write(journal: Journal, place: Place) -> None:
    history(journal)

    def meanwhile(records: Iterator[Record], size: int) -> Iterator[Record]:
        assert size == 3
        history(journal, 4)
        yield from records

    assert verify_journal(place, [KEY], None, meanwhile).last == 3  # type: ignore[arg-type] # an iterator is iterable
    assert verify_journal(place, [KEY]).last == 6


def test_the_mac_covers_the_one_before(journal: Journal) -> None:
    history(journal)
    records = journal.audit.records()
    assert records[1].mac == mac(KEY, records[0].mac, records[1].text)
    assert records[0].text == canonical(records[0].fields)


def test_every_end_has_one_audit_record_and_a_message_that_people_see(journal: Journal) -> None:
    def told() -> int:
        return len(journal.outbox.pending())

    first = history(journal, at=100.0)
    assert told() == 1
    history(journal, at=200.0)
    assert told() == 1, "the earlier message still waits to be sent"
    journal.outbox.delivered(journal.outbox.pending()[0], 250.0)
    history(journal, at=300.0)
    assert told() == 0, "people see it until 1150"
    last = history(journal, at=1200.0)
    assert told() == 1, "nobody sees it any more"
    for action in range(first.id, last.id + 1):
        ends = [each for each in journal.actions.events(action) if each.after == "SUPPRESSED"]
        assert len(ends) == 1


def test_what_ends_an_earlier_message_is_sent_even_when_the_end_repeats(journal: Journal) -> None:
    suspect = Suspect("main", "digits", 3, "AirbagErrorRatioHigh", None)
    for at in (100.0, 200.0):
        action, _ = journal.actions.open_for(suspect, at, at + 30)
        action = journal.actions.move(action, State.EVALUATING, at)
        action = journal.actions.move(action, State.AWAITING_APPROVAL, at + 1)
        action = journal.actions.move(action, State.CANCELLED, at + 2, "rejected", by="ada")
        journal.actions.clear(action, "ada", at + 3)
    alerts = [message.alert for message in journal.outbox.pending()]
    asked = [each for each in alerts if each["labels"]["alertname"] == "AirbagRollbackAwaitingApproval"]
    assert [each["endsAt"] > each["startsAt"] for each in asked] == [True, False, True, False]
