"""Files that grow are counted line by line, once each, whatever happens to file, ledger and process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from airbag.clock import SystemClock
from airbag_exporters.config import TailedFile
from airbag_exporters.quality.intake.metrics import IntakeMetrics, Source
from airbag_exporters.quality.sources.dead_letters import DeadLetters
from airbag_exporters.quality.sources.files import FileSource
from airbag_exporters.quality.sources.told import SourceMetrics, Told
from tests.exporters.quality.source_ledger import SqliteTaker, line, lines
from tests.fakes.binaries import ROOT
from tests.fakes.wait import until

PATIENCE = 0.3


@dataclass
class Reader:
    """What a source reads from `folder/PATTERN`, in this process."""

    folder: Path
    pattern: str = "events.ndjson"
    kind: str = "predictions"
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.taker = SqliteTaker(self.folder / "ledger.db")
        self.path = self.folder / self.pattern

    @contextmanager
    def running(self) -> Iterator[Reader]:
        self.registry, stop, clock = CollectorRegistry(), threading.Event(), SystemClock()
        told = Told(Source.FILE, str(self.path), SourceMetrics(self.registry), IntakeMetrics(self.registry), clock)
        letters = DeadLetters(self.folder / "rejected", clock.now)
        file = TailedFile.model_validate({"path": self.path, "kind": self.kind})
        source = FileSource(file, self.taker, told, letters, stop, clock, PATIENCE)
        thread = threading.Thread(target=source.run)
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            thread.join(60)
            assert not thread.is_alive()

    def reads(self, *numbers: int) -> None:
        """Wait until exactly these were counted, in order."""
        until(lambda: self.taker.numbers(self.kind) == [*numbers], timeout=60, what=f"{numbers} in the ledger")

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def rejected(self, name: str = "events") -> list[dict[str, str]]:
        path = self.folder / "rejected" / f"{name}.ndjson"
        return [json.loads(each) for each in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_lines_are_counted_as_they_come_and_a_file_may_come_later(reader: Reader) -> None:
    with reader.running():
        append(reader.path, lines(1, 2))
        reader.reads(1, 2)
        append(reader.path, lines(3))
        reader.reads(1, 2, 3)
        assert until(lambda: reader.metric("airbag_quality_events_total", source="file", kind="predictions") == 3)
        assert until(lambda: reader.metric("airbag_quality_file_lag_bytes", path=str(reader.path)) == 0)


def test_a_line_is_counted_once_it_is_complete(reader: Reader) -> None:
    append(reader.path, lines(1) + b'{"n"')
    with reader.running():
        reader.reads(1)
        assert until(lambda: reader.metric("airbag_quality_file_lag_bytes", path=str(reader.path)) == 4)
        append(reader.path, b": 2}\n\n  \n" + lines(3))
        reader.reads(1, 2, 3)
    assert not reader.rejected()


def test_reading_goes_on_where_it_stopped(reader: Reader) -> None:
    append(reader.path, lines(1, 2))
    with reader.running():
        reader.reads(1, 2)
    append(reader.path, lines(3))
    with reader.running():
        reader.reads(1, 2, 3)


def test_labels_and_runs_are_handed_over_as_what_they_are(tmp_path: Path) -> None:
    reader = Reader(tmp_path, kind="labels")
    append(reader.path, lines(1))
    with reader.running():
        reader.reads(1)


def test_a_rename_loses_nothing_that_is_written_before_the_writer_notices(reader: Reader) -> None:
    with reader.running(), reader.path.open("ab", buffering=0) as writer:
        writer.write(lines(1))
        reader.reads(1)
        reader.path.rename(reader.folder / "events.ndjson.1")
        writer.write(lines(2))
        append(reader.path, lines(3))
        writer.write(lines(4) + b'{"n":')
        writer.write(b" 5}\n")
        reader.reads(1, 2, 4, 5, 3)


def test_the_last_line_of_a_rotated_file_needs_no_end(reader: Reader) -> None:
    append(reader.path, lines(1) + b'{"n": 2}')
    with reader.running():
        reader.reads(1)
        reader.path.rename(reader.folder / "events.ndjson.1")
        append(reader.path, lines(3))
        reader.reads(1, 2, 3)


def test_rotations_while_nobody_reads_are_caught_up_with_in_order(reader: Reader) -> None:
    append(reader.path, lines(1))
    with reader.running():
        reader.reads(1)
    append(reader.path, lines(2))
    for number in (3, 4, 5):
        for old in (2, 1):
            if (path := reader.folder / f"events.ndjson.{old}").exists():
                path.rename(reader.folder / f"events.ndjson.{old + 1}")
        reader.path.rename(reader.folder / "events.ndjson.1")
        append(reader.path, lines(number))
    with reader.running():
        reader.reads(1, 2, 3, 4, 5)


def test_old_rotated_files_are_not_read_on_the_first_start(reader: Reader) -> None:
    append(reader.folder / "events.ndjson.1", lines(1))
    append(reader.path, lines(2))
    with reader.running():
        reader.reads(2)
        reader.path.rename(reader.folder / "events.ndjson.2")
        append(reader.path, lines(3))
        reader.reads(2, 3)


def test_a_file_that_was_copied_and_cut_off_begins_anew_and_the_rest_comes_from_the_copy(reader: Reader) -> None:
    append(reader.path, lines(1))
    with reader.running():
        reader.reads(1)
    append(reader.path, lines(2))
    shutil.copy2(reader.path, reader.folder / "events.ndjson.1")
    os.truncate(reader.path, 0)
    append(reader.path, lines(3, 4, 5))
    with reader.running():
        reader.reads(1, 2, 3, 4, 5)
        os.truncate(reader.path, 0)
        append(reader.path, lines(6, 7, 8, 9))
        reader.reads(1, 2, 3, 4, 5, 6, 7, 8, 9)


def test_a_file_that_lost_its_end_is_read_from_its_start(reader: Reader) -> None:
    append(reader.path, lines(*range(1000)))
    with reader.running():
        reader.reads(*range(1000))
        os.truncate(reader.path, len(lines(*range(500))))
        reader.reads(*range(1000), *range(500))


def test_a_deleted_file_may_come_back(reader: Reader) -> None:
    append(reader.path, lines(1))
    with reader.running():
        reader.reads(1)
        reader.path.unlink()
        append(reader.path, lines(2, 3))
        reader.reads(1, 2, 3)


def test_another_file_with_the_same_inode_is_not_taken_for_the_old_one(reader: Reader) -> None:
    append(reader.path, lines(1))
    with reader.running():
        reader.reads(1)
    inode = reader.path.stat().st_ino
    with reader.path.open("r+b") as file:  # what a file system does that gives the inode to the next file
        file.truncate()
        file.write(lines(2, 3, 4))
    assert reader.path.stat().st_ino == inode
    with reader.running():
        reader.reads(1, 2, 3, 4)


def test_every_file_of_a_pattern_is_read_and_rotated_ones_only_once(tmp_path: Path) -> None:
    reader = Reader(tmp_path, pattern="events-*")
    append(tmp_path / "events-a", lines(1))
    append(tmp_path / "events-a.1.gz", b"\x1f\x8b")
    with reader.running():
        reader.reads(1)
        append(tmp_path / "events-b", lines(2))
        reader.reads(1, 2)
        (tmp_path / "events-a").rename(tmp_path / "events-a.1")
        append(tmp_path / "events-a.1", lines(3))
        reader.reads(1, 2, 3)
        append(tmp_path / "events-a", lines(4))
        reader.reads(1, 2, 3, 4)
    with reader.running():
        append(tmp_path / "events-b", lines(5))
        reader.reads(1, 2, 3, 4, 5)


def test_a_file_that_is_renamed_within_its_pattern_is_not_read_again(tmp_path: Path) -> None:
    reader = Reader(tmp_path, pattern="*.ndjson")
    append(tmp_path / "events.ndjson", lines(1))
    with reader.running():
        reader.reads(1)
    (tmp_path / "events.ndjson").rename(tmp_path / "events-2026-01-31.ndjson")
    append(tmp_path / "events-2026-01-31.ndjson", lines(2))
    append(tmp_path / "events.ndjson", lines(3))
    with reader.running():
        until(lambda: sorted(reader.taker.numbers()) == [1, 2, 3], timeout=60)
    with reader.running():
        append(tmp_path / "events.ndjson", lines(4))
        until(lambda: sorted(reader.taker.numbers()) == [1, 2, 3, 4], timeout=60)


def test_a_file_that_only_changed_its_name_within_its_pattern_is_read_under_that_alone(tmp_path: Path) -> None:
    reader = Reader(tmp_path, pattern="*.ndjson")
    append(tmp_path / "events.ndjson", lines(1))
    with reader.running():
        reader.reads(1)
        (tmp_path / "events.ndjson").rename(tmp_path / "events-2026-01-31.ndjson")
        append(tmp_path / "events-2026-01-31.ndjson", lines(2))
        reader.reads(1, 2)
    append(tmp_path / "events.ndjson", lines(3))
    with reader.running():
        reader.reads(1, 2, 3)
        append(tmp_path / "events.ndjson", lines(4))
        reader.reads(1, 2, 3, 4)


def test_a_refused_line_at_the_end_is_set_aside_once(reader: Reader) -> None:
    append(reader.path, lines(1) + b"{\n")
    with reader.running():
        until(reader.rejected, timeout=60, what="the line set aside")
    with reader.running():
        append(reader.path, lines(2))
        reader.reads(1, 2)
    assert len(reader.rejected()) == 1


def test_refused_lines_are_set_aside_and_the_good_ones_around_them_counted_once(reader: Reader) -> None:
    good = [*range(1000)]
    bad = {17: b"{", 500: b"\xff\xfe", 501: b'{"m": 1}', 999: b"nonsense"}
    append(reader.path, b"".join(line(n) + (bad[n] + b"\n" if n in bad else b"") for n in good))
    with reader.running():
        reader.reads(*good)
        append(reader.path, lines(1000))
        reader.reads(*good, 1000)
        assert reader.metric("airbag_quality_rejected_lines_total", source="file") == 4
        assert reader.metric("airbag_quality_batches_total", source="file", outcome="refused") == 1
    kept = reader.rejected()
    assert [each["line"] for each in kept] == ["{", "\\xff\\xfe", '{"m": 1}', "nonsense"]
    assert all("line 1" in each["reason"] for each in kept)
    assert kept[0]["place"].startswith(f"{reader.path}, before byte ")
    with reader.running():
        append(reader.path, lines(1001))
        reader.reads(*good, 1000, 1001)
    assert len(reader.rejected()) == 4


def test_a_line_that_is_too_long_is_set_aside_with_its_beginning(reader: Reader) -> None:
    append(reader.path, lines(1) + b"x" * (3 << 20))
    with reader.running():
        reader.reads(1)
        append(reader.path, b"x" * 10 + b"\n" + lines(2))
        reader.reads(1, 2)
        assert reader.metric("airbag_quality_rejected_lines_total", source="file") == 1
    (kept,) = reader.rejected()
    assert kept["reason"] == "longer than 1048576 bytes"
    assert kept["line"] == "x" * 4096


def test_more_lines_than_one_batch_holds_are_read_in_several(reader: Reader) -> None:
    append(reader.path, lines(*range(12_000)))
    with reader.running():
        reader.reads(*range(12_000))
    assert reader.taker.takes == 3


def test_while_the_ledger_is_away_nothing_is_skipped(reader: Reader) -> None:
    reader.taker.up.clear()
    append(reader.path, lines(1, 2))
    with reader.running():
        until(lambda: reader.taker.refusals >= 3, timeout=60, what="three tries")
        assert reader.metric("airbag_quality_batches_total", source="file", outcome="unavailable") > 0  # type: ignore[operator] # not None
        append(reader.path, lines(3))
        reader.taker.up.set()
        reader.reads(1, 2, 3)


def test_stopping_does_not_wait_for_the_ledger(reader: Reader) -> None:
    reader.taker.up.clear()
    append(reader.path, lines(1))
    with reader.running():
        until(lambda: reader.taker.refusals, timeout=60, what="a try")


def test_what_is_no_regular_file_is_left_alone(reader: Reader, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(reader.path)
    with reader.running():
        reasons = lambda: [getattr(record, "reason", "") for record in caplog.records]  # noqa: E731
        until(lambda: any("is no regular file" in reason for reason in reasons()), timeout=60, what="a warning")
        reader.path.unlink()
        append(reader.path, lines(1))
        reader.reads(1)


CHILD = """
import os, random, signal, sys, threading
from pathlib import Path
from prometheus_client import CollectorRegistry
from airbag.clock import SystemClock
from airbag_exporters.config import TailedFile
from airbag_exporters.quality.intake.metrics import IntakeMetrics, Source
from airbag_exporters.quality.sources.dead_letters import DeadLetters
from airbag_exporters.quality.sources.files import FileSource
from airbag_exporters.quality.sources.told import SourceMetrics, Told
from tests.exporters.quality.source_ledger import SqliteTaker

folder, registry, clock = Path(sys.argv[1]), CollectorRegistry(), SystemClock()
path = folder / "events.ndjson"
told = Told(Source.FILE, str(path), SourceMetrics(registry), IntakeMetrics(registry), clock)
taker = SqliteTaker(folder / "ledger.db")
file = TailedFile.model_validate({"path": path, "kind": "predictions"})
FileSource(file, taker, told, DeadLetters(None, clock.now), threading.Event(), clock, 0.1).run()
"""


def test_killed_again_and_again_in_the_middle_of_writing_and_rotating_it_counts_every_line_once(
    reader: Reader,
) -> None:
    count = 0
    for _ in range(5):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(reader.folder)], cwd=ROOT)
        try:
            before = len(reader.taker.numbers())
            for _ in range(20):
                batch = range(count, count := count + 200)
                with reader.path.open("ab", buffering=0) as writer:
                    data = lines(*batch)
                    writer.write(data[:1001])
                    writer.write(data[1001:])
            until(lambda before=before: len(reader.taker.numbers()) > before, timeout=60, what="more lines")  # type: ignore[misc] # a default
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait(60)
        for old in (3, 2, 1):
            if (path := reader.folder / f"events.ndjson.{old}").exists():
                path.rename(reader.folder / f"events.ndjson.{old + 1}")
        reader.path.rename(reader.folder / "events.ndjson.1")
    append(reader.path, lines(count))
    with reader.running():
        until(lambda: count in reader.taker.numbers(), timeout=60, what="the last line")
    assert reader.taker.numbers() == [*range(count + 1)]
