"""`airbag journal copy` moves a journal whole, or leaves everything as it was."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from airbag.cli import airbag
from airbag_rollback.journal import open_journal
from airbag_rollback.journal.audit import Record
from airbag_rollback.journal.peek import peek
from airbag_rollback.place import PostgresqlJournal
from airbag_rollback.records import Suspect
from tests.fakes.binaries import ROOT
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.rollback import AUDIT_KEY

KEY = AUDIT_KEY.encode()
Run = Callable[[], Result]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A journal with something of everything, and a report."""
    path = tmp_path / "old" / "journal.sqlite"
    path.parent.mkdir()
    shutil.copy(ROOT / "tests/golden/journal/schema-2.sqlite", path)
    with closing(open_journal(path, KEY)) as journal:
        journal.lease.tend()
        journal.reports.attach(2, b"<!doctype html>what happened", "olga", 1_780_000_000.0)
    return path


@pytest.fixture
def target(postgres: PostgresServer) -> PostgresqlJournal:
    return postgres.place(postgres.database())


@pytest.fixture
def copy(source: Path, target: PostgresqlJournal, tmp_path: Path) -> Run:
    """The command, with a policy that names the target."""
    (tmp_path / "key").write_text(AUDIT_KEY)
    assert target.password
    (tmp_path / "policy.yml").write_text(
        "exporters_file: none\nprometheus_url: http://a:1\nalertmanager_urls: [http://a:2]\n"
        "webhook_token: {file: none}\naudit_key: {file: key}\n"
        f'journal: {{postgresql: "{target.postgresql}", password: {{file: {target.password.file}}}}}\n'
    )
    command = ["journal", "copy", str(source), "--config.file", str(tmp_path / "policy.yml")]
    return lambda: CliRunner().invoke(airbag, command)


def records(place: Path | PostgresqlJournal) -> list[Record]:
    with peek(place) as found:
        return list(found.audit.all())


def test_everything_is_there_with_its_number_and_the_next_number_is_new(
    copy: Run, source: Path, target: PostgresqlJournal
) -> None:
    answer = copy()
    assert answer.exit_code == 0, answer.output
    assert "the audit fits: records 4 to" in answer.output
    assert records(target) == records(source)
    with closing(open_journal(source, KEY)) as old, closing(open_journal(target, KEY)) as new:
        assert new.actions.latest() == old.actions.latest()
        assert [each.body for each in new.deliveries.pending()] == [each.body for each in old.deliveries.pending()]
        assert new.outbox.pending() == old.outbox.pending()
        assert new.ledger.present() == old.ledger.present()
        assert new.audit.kept() == old.audit.kept()
        assert new.reports.read(2) == b"<!doctype html>what happened"
        assert new.lease.tend(), "nobody holds the lease"
        held = old.lease.holder()
        assert held is not None
        assert new.lease.fence == held.fence + 1
        action, is_new = new.actions.open_for(Suspect("main", "another", 1, "A", None), 1.0, 2.0)
        assert (action.id, is_new) == (max(each.id for each in old.actions.latest()) + 1, True)


def test_a_place_that_is_not_empty_is_left_as_it_is(copy: Run, target: PostgresqlJournal) -> None:
    with closing(open_journal(target, KEY)) as journal:
        journal.deliveries.accept(b"mine", 1.0)
    answer = copy()
    assert answer.exit_code != 0
    assert "deliveries has rows. Take another database" in str(answer.exception)
    with closing(open_journal(target, KEY)) as journal:
        assert journal.actions.latest() == []
        assert [each.body for each in journal.deliveries.pending()] == [b"mine"]


def test_a_journal_that_a_receiver_holds_is_not_copied(copy: Run, source: Path) -> None:
    with closing(open_journal(source, KEY)) as journal:
        journal.lease.tend()
        answer = copy()
    assert "a receiver runs on" in str(answer.exception)


def test_a_journal_that_was_tampered_with_is_not_copied(copy: Run, source: Path, target: PostgresqlJournal) -> None:
    with closing(sqlite3.connect(source, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER audit_is_not_changed")
        connection.execute("UPDATE audit SET record = replace(record, 'olga', 'anna')")
    answer = copy()
    assert "is not what was written" in str(answer.exception)
