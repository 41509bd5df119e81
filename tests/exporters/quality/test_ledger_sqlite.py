"""The file of the SQLite ledger: full, locked, damaged, of another kind, and growing for days."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from airbag.errors import StartError
from airbag_exporters.quality.ledger.packing import packed, unpacked
from airbag_exporters.quality.ledger.sqlite import sqlite_ledger
from airbag_exporters.quality.ledger.values import WAITING, Change, LedgerUnavailable, Limits, State
from tests.exporters.quality.ledger_kinds import LIMITS, Bench, sqlite_bench, waiting
from tests.exporters.quality.test_ledger_crashes import Child, agreeing_steps
from tests.fakes.clock import SetClock

ROOT = Path(__file__).parents[3]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = sqlite_bench(tmp_path)
    yield bench
    bench.ledger.close()


def open_at(tmp_path: Path) -> None:
    """Open and load what is there, and let go of it."""
    ledger = sqlite_ledger(tmp_path / "state", LIMITS, SetClock())
    try:
        ledger.load()
    finally:
        ledger.close()


def random_rows(count: int, since: float, seed: int = 0) -> np.ndarray:
    """Rows that cannot be made smaller."""
    random = np.random.default_rng([seed, int(since)])
    rows = waiting(range(count), since)
    rows["key"] = random.integers(0, 1 << 64, count, dtype=np.uint64)
    rows["at"], rows["score"] = random.random(count), random.random(count)
    return rows


def test_the_file_is_for_its_owner_only(bench: Bench, tmp_path: Path) -> None:
    bench.predict(1)
    modes = {path.name: path.stat().st_mode & 0o077 for path in (tmp_path / "state").iterdir()}
    assert {"quality.db", "quality.db-wal", "quality.db.lock"} <= set(modes)
    assert not any(modes.values())


def test_a_second_process_is_refused_with_the_remedy(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"another quality exporter keeps its ledger.*state_folder.*quality\.redis"):
        open_at(tmp_path)
    bench.ledger.close()
    open_at(tmp_path)
    bench.restart()


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    with Child(str(tmp_path / "state")) as child:
        child.until_steps(3)
        with pytest.raises(StartError, match="another quality exporter"):
            open_at(tmp_path)
    assert agreeing_steps(str(tmp_path / "state")) >= 3


def test_a_commit_to_a_file_that_another_program_locks_leaves_nothing(bench: Bench, tmp_path: Path) -> None:
    bench.predict(1)
    bench.look(2)
    other = sqlite3.connect(tmp_path / "state" / "quality.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable, match="locked"):
            bench.ledger.commit(Change(new=bench.rows(2), early={5: b"x"}, blocks={"b": b"1"}))
        assert bench.states(1, 2, 5) == [State.PENDING, State.ABSENT, State.ABSENT]
        assert bench.ledger.pending() == 1
        bench.clock.time += 101
        expired = bench.ledger.expire(bench.clock.time)
        with pytest.raises(LedgerUnavailable, match="locked"):
            bench.ledger.forget(expired, {})
        assert bench.ledger.pending() == 1
        other.execute("ROLLBACK")
    finally:
        other.close()
    bench.ledger.forget(expired, {})
    bench.ledger.commit(Change(new=bench.rows(2), blocks={"b": b"2"}))
    bench.restart()
    assert bench.states(1, 2) == [State.ABSENT, State.PENDING]
    assert bench.kept.blocks == {"b": b"2"}


FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from airbag_exporters.quality.ledger.values import Change, LedgerUnavailable
from tests.exporters.quality.ledger_kinds import sqlite_bench
from tests.exporters.quality.test_ledger_sqlite import random_rows

bench = sqlite_bench(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, resource.RLIM_INFINITY))
counts = []
for limit in (None, resource.RLIM_INFINITY):
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    for step in range(len(counts), len(counts) + 100):
        rows = random_rows(1000, float(step))
        try:
            bench.ledger.look(rows["key"].copy())
            bench.ledger.commit(Change(new=rows, blocks={"n": str(step + 1).encode()}))
        except LedgerUnavailable as error:
            print("refused", step, error, flush=True)
            assert not bench.ledger.look(rows["key"].copy()).states.any()
            assert bench.ledger.pending() == step * 1000
            break
        counts.append(step)
print("committed", len(counts), flush=True)
"""


def test_a_full_disk_refuses_a_batch_whole_and_takes_it_once_there_is_room(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=False, timeout=120,
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    assert first.startswith("refused ")
    assert "cannot write the quality ledger" in first
    refused = int(first.split()[1])
    assert 5 < refused < 100
    assert last == f"committed {refused + 100}"
    bench = sqlite_bench(tmp_path)
    assert bench.kept.blocks == {"n": str(refused + 100).encode()}
    assert bench.ledger.pending() == (refused + 100) * 1000
    for step in range(refused + 100):
        assert (bench.ledger.look(random_rows(1000, float(step))["key"].copy()).states == State.PENDING).all()
    bench.ledger.close()


def written(tmp_path: Path) -> Path:
    """A ledger with some of everything, closed; its file."""
    bench = sqlite_bench(tmp_path)
    bench.predict(*range(900), blocks={"b": b"block" * 9000}, extras={1: b"x"})
    bench.label(*range(0, 900, 2))
    bench.predict(*range(1000, 1900))
    bench.ledger.close()
    return tmp_path / "state" / "quality.db"


@pytest.mark.parametrize("part", ["rows", "positions", "blocks"])
def test_a_flipped_bit_in_what_was_written_is_refused(tmp_path: Path, part: str) -> None:
    file = written(tmp_path)
    wanted = {"rows": waiting(range(1000, 1900), SetClock().time)["key"].tobytes()[-40:], "blocks": b"block" * 8}
    wanted["positions"] = np.arange(0, 900, 2).tobytes()[-40:]
    data = bytearray(file.read_bytes())
    data[data.rindex(wanted[part])] ^= 1
    file.write_bytes(data)
    with pytest.raises(StartError, match=r"is damaged: .*checksum.*Put a copy of it back, or move it away"):
        open_at(tmp_path)
    assert file.read_bytes() == bytes(data)


def test_a_file_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path)
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(StartError, match="is damaged"):
        open_at(tmp_path)


def test_a_file_that_was_overwritten_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path)
    file.write_bytes(b"not a database " * 10_000)
    with pytest.raises(StartError, match="is damaged: file is not a database"):
        open_at(tmp_path)


def test_an_empty_file_is_refused_and_not_filled(tmp_path: Path) -> None:
    file = written(tmp_path)
    os.truncate(file, 0)
    with pytest.raises(StartError, match="is damaged: it is empty"):
        open_at(tmp_path)
    assert file.stat().st_size == 0


def test_a_file_that_vanished_beside_its_log_is_missed(tmp_path: Path) -> None:
    with Child(str(tmp_path / "state")) as child:
        child.until_steps(3)
    (tmp_path / "state" / "quality.db").unlink()
    with pytest.raises(StartError, match=r"it is gone, but quality\.db-wal is still there"):
        open_at(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM runs WHERE first = 0",
        "DELETE FROM runs WHERE first = 900",
        "DELETE FROM runs WHERE first = 1800",
        "UPDATE heads SET waiting = 999999",
        "DELETE FROM heads",
        "DROP TABLE marks",
    ],
)
def test_a_file_that_lacks_a_part_is_refused(tmp_path: Path, change: str) -> None:
    bench = sqlite_bench(tmp_path)
    for first in range(0, 2700, 900):
        bench.predict(*range(first, first + 900))
    bench.label(2699)
    bench.ledger.close()
    with sqlite3.connect(tmp_path / "state" / "quality.db") as connection:
        connection.execute(change)
    connection.close()
    with pytest.raises(StartError, match="is damaged"):
        open_at(tmp_path)


def test_a_file_of_another_schema_is_refused_with_both_numbers(tmp_path: Path) -> None:
    file = written(tmp_path)
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StartError, match="has schema 99, this Airbag writes 1"):
        open_at(tmp_path)


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with sqlite3.connect(tmp_path / "state" / "quality.db") as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(StartError, match="is no quality ledger"):
        open_at(tmp_path)


def test_a_folder_that_is_a_file_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StartError, match=r"cannot use quality\.state_folder .*Make it a folder"):
        open_at(tmp_path)


def test_what_a_crash_left_of_a_first_start_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "quality.db.new").write_bytes(b"half")
    open_at(tmp_path)
    open_at(tmp_path)


def test_the_file_does_not_grow_once_as_much_leaves_as_comes(tmp_path: Path) -> None:
    bench = sqlite_bench(tmp_path, Limits(pending_max=40_000, label_ttl=1e9, early_label_ttl=1.0))
    sizes = []
    for step in range(80):
        rows = random_rows(4000, float(step))
        extras = {key: bytes(50) for key in rows["key"][:100].tolist()}
        bench.ledger.commit(Change(new=rows, extras=extras, early={step: b"early"}, blocks={"b": bytes(5000)}))
        bench.ledger.commit(Change(done=rows[::2]))
        bench.clock.time += 1
        bench.expire()
        sizes.append(sum(file.stat().st_size for file in (tmp_path / "state").iterdir()))
    assert bench.ledger.pending() == 20_000
    bench.ledger.close()
    held = sqlite3.connect(tmp_path / "state" / "quality.db")
    counts = [held.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("runs", "marks", "extras")]  # noqa: S608 - ours
    held.close()
    assert counts[0] <= 11
    assert counts[1] <= 11
    assert counts[2] == 10 * 50  # of what is held, those without a label
    assert sizes[-1] <= (32 << 20) + (8 << 20)  # the write-ahead log, and what is held twice over
    assert (tmp_path / "state" / "quality.db").stat().st_size < 8 << 20
    assert max(sizes[40:]) - sizes[40] < 20 << 20
    bench = sqlite_bench(tmp_path, bench.limits)
    assert bench.ledger.pending() == 20_000
    bench.ledger.close()


def test_a_file_that_emptied_gives_its_room_back(tmp_path: Path) -> None:
    bench = sqlite_bench(tmp_path, Limits(pending_max=1_000_000, label_ttl=10.0, early_label_ttl=1.0))
    for step in range(20):
        bench.ledger.commit(Change(new=random_rows(50_000, bench.clock.time, step)))
    bench.restart()  # what waits in the write-ahead log goes into the file
    file = tmp_path / "state" / "quality.db"
    full = file.stat().st_size
    assert full > 35 << 20
    bench.clock.time += 11
    assert bench.expire() == ({7: 1_000_000}, 0)
    bench.restart()
    assert file.stat().st_size < full - (15 << 20)
    bench.ledger.close()


def test_packed_rows_come_back_bit_for_bit() -> None:
    for rows in (waiting([5], 1.0), waiting([1, 2, 3], 2.0), random_rows(1000, 3.0), np.zeros(4, WAITING)):
        assert unpacked(packed(rows)).tobytes() == rows.tobytes()
    same = np.repeat(waiting([5, 6], 1.0)[1:], 1000)  # its score is NaN
    assert len(packed(same)) < 100
    assert unpacked(packed(same)).tobytes() == same.tobytes()


@pytest.mark.parametrize("data", [b"", b"\0" * 8, b"\0" * 100, packed(waiting([1, 2], 1.0))[:-1]])
def test_bytes_that_are_no_rows_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="checksum"):
        unpacked(data)
