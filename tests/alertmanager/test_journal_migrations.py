"""A journal of any released schema is carried on: as a whole, or it stays as it was."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from airbag.errors import StartError
from airbag_rollback.engine.states import State
from airbag_rollback.journal import open_journal
from airbag_rollback.journal.database import Database
from airbag_rollback.journal.migrations import Migration
from airbag_rollback.journal.pauses import Pause
from airbag_rollback.journal.postgresql import PostgresqlDatabase
from airbag_rollback.journal.sqlite import SqliteDatabase
from airbag_rollback.journal.verify import verify_journal
from airbag_rollback.place import Place, PostgresqlJournal
from airbag_rollback.records import Suspect
from tests.fakes.binaries import ROOT
from tests.fakes.rollback import AUDIT_KEY, Surroundings, bench

KEY = AUDIT_KEY.encode()
RELEASED = {int(file.stem.removeprefix("schema-")): file for file in (ROOT / "tests/golden/journal").glob("*.sqlite")}
NEXT = Migration(
    "actions have a colour",
    (
        "CREATE TABLE colours (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, since REAL, picture BLOB)",
        "ALTER TABLE actions ADD COLUMN colour INTEGER NOT NULL DEFAULT 0",
        "UPDATE actions SET colour = 1",
    ),
)
FAILING = Migration("cannot be", ("CREATE TABLE half (x INTEGER)", "INSERT INTO nowhere VALUES (1)"))
CHILD = """
import json, os
from pathlib import Path
from airbag_rollback import failpoints
from airbag_rollback.journal.migrations import Migration
from airbag_rollback.journal.postgresql import PostgresqlDatabase
from airbag_rollback.journal.sqlite import SqliteDatabase
from airbag_rollback.place import PostgresqlJournal
place, migrations = os.environ["PLACE"], [Migration("", tuple(json.loads(os.environ["STATEMENTS"])))]
failpoints.arm(os.environ)
if place.startswith("/"):
    SqliteDatabase(Path(place), migrations)
else:
    PostgresqlDatabase(PostgresqlJournal.model_validate_json(place), migrations)
"""


def database(place: Place, *migrations: Migration) -> Database:
    """Opened by an Airbag that has these migrations."""
    if isinstance(place, PostgresqlJournal):
        return PostgresqlDatabase(place, migrations)
    return SqliteDatabase(place, migrations)


@pytest.fixture
def released(place: Place) -> Place:
    """A journal of the first released schema: the kept one, or a new one where no file can be copied."""
    if isinstance(place, Path):
        shutil.copy(RELEASED[2], place)
        return place
    with closing(open_journal(place, KEY)) as journal:
        journal.actions.open_for(Suspect("main", "digits", 3, "AirbagErrorRatioHigh", None), 1.0, 9e9)
    return place


def schema(place: Place, *migrations: Migration) -> list[tuple[str]]:
    with closing(database(place, *migrations)) as found:
        return found.rows("SELECT value FROM meta WHERE name = 'schema'")


@pytest.mark.parametrize("number", sorted(RELEASED))
def test_a_journal_of_every_released_schema_is_opened_and_its_audit_verifies(number: int, tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    shutil.copy(RELEASED[number], path)
    with closing(open_journal(path, KEY)) as journal:
        states = {action.model_name: action.state for action in journal.actions.latest()}
        assert states["ended-well"] is State.SUCCEEDED
        assert states["digits"] is State.ARMED
        assert journal.quarantine.of("main", "ended-well") == {2: "by anna, it leaks"}
        assert [each.reason for each in journal.pauses.present(1_780_000_000.0)] == ["until it is known"]
        assert {each.version for each in journal.ledger.served("main", "ended-well", 1_780_000_000.0)} == {1, 2}
        assert journal.outbox.pending()
        journal.pauses.begin(Pause("*", "*", 1_780_000_001.0, None, "olga", "it goes on"))
    report = verify_journal(path, [KEY])
    assert (report.is_good, report.first) == (True, 4)


def test_what_was_under_way_in_a_released_journal_is_carried_on(around: Surroundings) -> None:
    folder = around.folder / "journal"
    folder.mkdir()
    shutil.copy(RELEASED[2], folder / "journal.sqlite")
    around.release(2, 3)
    around.bad_release()
    with bench(around) as desk:
        desk.clock.time = 1_780_000_100.0
        desk.receiver.worker.recover()
        for _ in range(60):
            desk.settle()
            desk.watch(1)
        action = next(each for each in desk.actions() if each.model_name == "digits")
        assert action.state is State.SUCCEEDED
        assert desk.receiver.journal.deliveries.pending() == []
    assert around.serving.switches == [("digits", (2,))]
    assert verify_journal(folder / "journal.sqlite", [KEY]).is_good


def test_a_migration_is_made_once_and_leaves_a_copy_of_what_was(released: Place) -> None:
    assert schema(released, NEXT) == [("3",)]
    with closing(database(released, NEXT)) as found:
        assert set(found.rows("SELECT colour FROM actions")) == {(1,)}
        with found.write() as connection:
            connection.execute("INSERT INTO colours (name, picture) VALUES ('red', ?)", (b"x",))
    if isinstance(released, Path):
        copy = released.with_name("journal.sqlite.schema-2.bak")
        assert copy.stat().st_mode & 0o777 == 0o600
        assert verify_journal(copy, [KEY]).is_good
        assert schema(copy) == [("2",)]


def test_an_older_airbag_refuses_what_a_newer_one_migrated(released: Place) -> None:
    schema(released, NEXT)
    with pytest.raises(StartError, match=r"has schema 3, this Airbag writes 2\. Use the Airbag that wrote it"):
        schema(released)


def test_a_migration_that_fails_leaves_the_journal_as_it_was_and_says_what_to_do(released: Place) -> None:
    with pytest.raises(
        StartError, match=r"from schema 2 to 3: .*nowhere.* It is as it was; .* Make room .* go on with"
    ):
        schema(released, FAILING)
    assert schema(released) == [("2",)]
    with closing(database(released)) as found, found.write() as connection:
        connection.execute("CREATE TABLE half (x INTEGER)")
    assert verify_journal(released, [KEY]).is_good


def test_several_receivers_that_start_at_once_migrate_once(released: Place) -> None:
    found: list[list[tuple[str]]] = []
    threads = [threading.Thread(target=lambda: found.append(schema(released, NEXT))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [[("3",)]] * 3


@pytest.mark.parametrize(("place_of_death", "left"), [("before", "2"), ("after", "3")])
def test_a_crash_in_a_migration_leaves_one_schema_whole(released: Place, place_of_death: str, left: str) -> None:
    where = released.model_dump_json() if isinstance(released, PostgresqlJournal) else str(released)
    environment = os.environ | {
        "PLACE": where, "STATEMENTS": json.dumps(NEXT.statements),
        "AIRBAG_FAILPOINT": f"kill:*: {place_of_death} the commit of schema 3",
    }  # fmt: skip
    child = subprocess.run([sys.executable, "-c", CHILD], cwd=ROOT, env=environment, capture_output=True, timeout=200)
    assert child.returncode == -9, child.stderr.decode()
    if left == "2":
        assert schema(released) == [("2",)]
    assert schema(released, NEXT) == [("3",)]
    with closing(database(released, NEXT)) as found:
        assert found.rows("SELECT name FROM colours") == []
