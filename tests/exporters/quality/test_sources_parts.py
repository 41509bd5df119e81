"""The parts of the sources: dead letters, batches of entries, positions, names, and all under one configuration."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from airbag.clock import SystemClock
from airbag_exporters.config import Quality
from airbag_exporters.quality.intake.metrics import IntakeMetrics, Source
from airbag_exporters.quality.intake.taker import Kind
from airbag_exporters.quality.sources import OnThread, Sources
from airbag_exporters.quality.sources.dead_letters import DeadLetters
from airbag_exporters.quality.sources.entries import Entry, Progress, batches, origin, progress_after
from airbag_exporters.quality.sources.position import Head, Position
from airbag_exporters.quality.sources.rotation import after, matching
from airbag_exporters.quality.sources.settle import Batch, Settler
from airbag_exporters.quality.sources.tail import Tail
from airbag_exporters.quality.sources.told import SourceMetrics, Told
from tests.exporters.quality.source_ledger import SqliteTaker, lines
from tests.fakes.clock import SetClock
from tests.fakes.redis_server import redis_server
from tests.fakes.wait import until


def test_dead_letters_are_bounded_and_the_newest_are_kept(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path / "rejected", lambda: 12.3456)
    for number in range(400):
        letters.add("labels-*.ndjson", "somewhere", "because", str(number).encode() + b"x" * (63 << 10))
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "rejected").iterdir()}
    assert sizes.keys() == {"labels-_.ndjson", "labels-_.1.ndjson"}
    assert all(size <= 10 << 20 for size in sizes.values())
    last = (tmp_path / "rejected" / "labels-_.ndjson").read_text().splitlines()[-1]
    assert json.loads(last)["line"].startswith("399x")
    assert {**json.loads(last), "line": ""} == {"at": 12.346, "place": "somewhere", "reason": "because", "line": ""}


def test_a_dead_letter_says_where_it_was_cut(tmp_path: Path) -> None:
    DeadLetters(tmp_path, lambda: 0.0).add("a", "", "", b"x" * 100_000)
    kept = json.loads((tmp_path / "a.ndjson").read_text())
    assert (len(kept["line"]), kept["cut_from_bytes"]) == (65_536, 100_000)


def test_a_folder_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    DeadLetters(tmp_path / "file" / "rejected", lambda: 0.0).add("a", "", "", b"x")
    DeadLetters(None, lambda: 0.0).add("a", "", "", b"x")
    assert "cannot be kept" in caplog.text


def entry(id_: str, count: int, kind: Kind = Kind.LABELS, size: int = 1, skipped: int = 0) -> Entry:
    return Entry(id_, kind, [b"x" * size] * count, skipped)


def test_batches_hold_neighbours_of_one_kind_up_to_their_bounds() -> None:
    entries = [entry("1", 3000), entry("2", 1000), entry("3", 1500), entry("4", 1, Kind.PREDICTIONS),
               entry("5", 1, Kind.PREDICTIONS, 1 << 20), entry("6", 9000), entry("7", 0)]  # fmt: skip
    assert [[each.id for each in batch] for batch in batches(entries)] == [
        ["1", "2"], ["3"], ["4"], ["5"], ["6"], ["7"],
    ]  # fmt: skip


def test_progress_names_whole_entries_and_the_lines_of_the_next() -> None:
    batch = [entry("1", 2, skipped=3), entry("2", 0), entry("3", 2)]
    assert progress_after(batch, 1) == Progress((), "1", 4)
    assert progress_after(batch, 2) == Progress(("1", "2"), "3", 0)
    assert progress_after(batch, 4) == Progress(("1", "2", "3"))
    assert [origin(batch, line).id for line in range(4)] == ["1", "1", "3", "3"]
    assert Progress.parse(progress_after(batch, 3).text()) == progress_after(batch, 3)
    assert Progress.parse("nonsense") == Progress.parse(None) == Progress()


def test_lines_that_are_done_are_left_out_of_an_entry() -> None:
    fields = {b"kind": b"labels", b"data": b"a\nb\n\nc"}
    assert Entry.of("7", fields, Progress((), "7", 2)) == Entry("7", Kind.LABELS, [b"c"], 2)
    assert Entry.of("7", fields, Progress((), "8", 2)).lines == [b"a", b"b", b"c"]


def test_a_position_survives_as_text_and_nonsense_is_none() -> None:
    position = Position(7, 2000, Head(1024, "ab"), 3)
    assert Position.parse(position.text()) == position
    assert Position.parse("{") is Position.parse('{"inode": "x"}') is Position.parse("") is Position.parse(None) is None


def test_a_position_fits_only_a_file_that_begins_as_it_did(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abcdef")
    handle = os.open(path, os.O_RDONLY)
    try:
        position = Position(1).at(handle, 4)
        assert position.head.size == 4
        assert position.fits(handle)
        path.write_bytes(b"abcdefgh")
        assert position.fits(handle)
        path.write_bytes(b"abc")
        assert not position.fits(handle)
        path.write_bytes(b"xbcdefgh")
        assert not position.fits(handle)
    finally:
        os.close(handle)


def test_a_pattern_means_neither_compressed_nor_rotated_files(tmp_path: Path) -> None:
    names = ["a.ndjson", "a.ndjson.1", "a.ndjson-20260131", "a.ndjson.2.gz", "a-2.ndjson", "b.ndjson.1", "a.ndjson.x"]
    for name in names:
        (tmp_path / name).write_text("")
    assert [path.name for path in matching(tmp_path / "*.ndjson*")] == [
        "a-2.ndjson", "a.ndjson", "a.ndjson.x", "b.ndjson.1",
    ]  # fmt: skip
    assert matching(tmp_path / "none" / "*") == []


def read_to_the_end(path: Path, before: int = 0) -> Position:
    handle = os.open(path, os.O_RDONLY)
    try:
        status = os.fstat(handle)
        return Position(status.st_ino, before=before).at(handle, status.st_size)
    finally:
        os.close(handle)


def test_the_successor_of_a_rotated_file_is_neither_itself_nor_one_before_it_nor_a_copy(tmp_path: Path) -> None:
    path, first, second = (tmp_path / name for name in ("a", "a.3", "a.2"))
    for number, (each, text) in enumerate(((first, ""), (second, ""), (tmp_path / "a.1", "x"))):
        each.write_text(text)
        os.utime(each, ns=(number, number))
    old = read_to_the_end(first)
    assert after(path, old, 0) == second
    assert after(path, read_to_the_end(second, old.inode), 0) == tmp_path / "a.1"
    newest = read_to_the_end(tmp_path / "a.1", second.stat().st_ino)
    (tmp_path / "a.4").write_text("x")
    (tmp_path / "a.bak").write_text("y")
    assert after(path, newest, 2) == path


def test_every_source_of_a_configuration_is_read_and_its_series_are_there_from_the_start(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    with redis_server(tmp_path / "redis") as server, ThreadPoolExecutor(1) as counting:
        config = Quality.model_validate(
            {
                "state_folder": tmp_path / "state",
                "replica": "one",
                "files": (
                    {"path": tmp_path / "predictions.ndjson", "kind": "predictions"},
                    {"path": tmp_path / "*.labels", "kind": "labels"},
                ),
                "streams": {"url": server.url},
            }
        )
        taker = SqliteTaker(tmp_path / "ledger.db")
        sources = Sources(config, OnThread(taker, counting), registry, IntakeMetrics(registry), SystemClock())
        for labels in ({"source": "file"}, {"source": "stream"}):
            assert registry.get_sample_value("airbag_quality_rejected_lines_total", labels) == 0
        for path in ("predictions.ndjson", "*.labels"):
            labels = {"path": str(tmp_path / path)}
            assert registry.get_sample_value("airbag_quality_file_lag_bytes", labels) == 0
        with sources, server.client() as client:
            (tmp_path / "predictions.ndjson").write_bytes(lines(1))
            (tmp_path / "x.labels").write_bytes(b"{\n" + lines(2))
            client.xadd("airbag:events", {"kind": "pipeline-runs", "data": lines(3)})
            for kind, number in (("predictions", 1), ("labels", 2), ("pipeline-runs", 3)):
                until(lambda kind=kind, number=number: taker.numbers(kind) == [number], timeout=60)  # type: ignore[misc] # defaults
    assert (tmp_path / "state" / "rejected" / "_.labels.ndjson").exists()


@pytest.mark.parametrize("bad", [{2}, {0}, {6}, {0, 1, 5, 6}, {*range(7)}, set()])
def test_whatever_is_committed_of_a_refused_batch_is_told_in_the_same_order(tmp_path: Path, bad: set[int]) -> None:
    """So that it is not settled again when something fails in between."""
    registry, clock = CollectorRegistry(), SetClock()
    told = Told(Source.FILE, "a", SourceMetrics(registry), IntakeMetrics(registry), clock)
    taker = SqliteTaker(tmp_path / "ledger.db")
    every = [b"{" if number in bad else lines(number).strip() for number in range(7)]
    events: list[tuple[str, int | None]] = []

    def cursors(done: int | None) -> dict[str, str]:
        return {"cursor": str(done)}

    def settled(done: int | None) -> None:
        assert taker.cursor("cursor") == str(done)
        events.append(("settled", done))

    batch = Batch(b"\n".join(every), lambda: every, cursors, settled, lambda line, _: events.append(("rejected", line)))
    Settler(taker, told, threading.Event()).settle(Kind.PREDICTIONS, batch)
    assert taker.numbers() == [number for number in range(7) if number not in bad]
    assert [line for what, line in events if what == "rejected"] == sorted(bad)
    places = [7 if done is None else done for what, done in events if what == "settled"]
    assert places == sorted(places)
    assert events[-1] == ("settled", None)
    firsts = {number for number in range(7) if number not in bad and (number + 1 in bad or number == 6)}
    assert {number + 1 for number in firsts} <= {*places}


def test_trouble_is_logged_once_a_minute_with_how_often_it_was(caplog: pytest.LogCaptureFixture) -> None:
    registry, clock = CollectorRegistry(), SetClock()
    told = Told(Source.FILE, "a", SourceMetrics(registry), IntakeMetrics(registry), clock)
    for _ in range(5):
        told.rejected("here", "because")
    clock.sleep(61)
    told.rejected("here", "because")
    assert [getattr(record, "times_before", 0) for record in caplog.records] == [0, 4]
    assert registry.get_sample_value("airbag_quality_rejected_lines_total", {"source": "file"}) == 6


def test_a_quiet_file_is_closed_and_what_follows_is_read_also_under_another_name(tmp_path: Path) -> None:
    path, clock = tmp_path / "a.ndjson", SetClock()
    path.write_bytes(b"1\n")
    tail = Tail(path, None, clock, patience=5)

    def read() -> list[bytes]:
        found: list[bytes] = []
        for _ in range(10):
            if piece := tail.read():
                found += piece.lines
                tail.settle(piece.end)
            clock.sleep(1)
        return found

    try:
        assert read() == [b"1"]
        clock.sleep(60)
        assert read() == []
        assert handles(path) == 0
        path.write_bytes(b"1\n2\n")
        assert read() == [b"2"]
        clock.sleep(60)
        assert read() == []
        assert handles(path) == 0
        path.rename(tmp_path / "a.ndjson.1")
        (tmp_path / "a.ndjson.1").write_bytes(b"1\n2\n3\n")
        path.write_bytes(b"4\n")
        assert read() + read() == [b"3", b"4"]
    finally:
        tail.close()


def collected(tail: Tail) -> list[bytes]:
    """What can be read now."""
    found: list[bytes] = []
    while piece := tail.read():
        found += piece.lines
        tail.settle(piece.end)
    return found


def test_a_rotated_file_is_read_until_it_was_silent_for_a_while(tmp_path: Path) -> None:
    path, old, clock = tmp_path / "a", tmp_path / "a.1", SetClock()
    path.write_bytes(b"1\n")
    tail = Tail(path, None, clock, patience=5)
    try:
        assert collected(tail) == [b"1"]
        path.rename(old)
        clock.sleep(100)
        assert collected(tail) == []
        old.write_bytes(b"1\n2\n")
        assert collected(tail) == [b"2"]
        path.write_bytes(b"7\n")
        clock.sleep(4)
        assert collected(tail) == []
        old.write_bytes(b"1\n2\n3\n")
        assert collected(tail) == [b"3"]
        clock.sleep(4)
        assert collected(tail) == []
        clock.sleep(1)
        assert collected(tail) == []
        assert collected(tail) == [b"7"]
    finally:
        tail.close()


def test_a_file_that_was_finished_is_not_read_again_when_its_successor_stayed_empty(tmp_path: Path) -> None:
    path, clock = tmp_path / "a", SetClock()
    path.write_bytes(b"1\n")
    tail = Tail(path, None, clock, patience=5)
    try:
        assert collected(tail) == [b"1"]
        path.rename(tmp_path / "a.1")
        path.write_bytes(b"")
        clock.sleep(5)
        assert collected(tail) == collected(tail) == []
        (tmp_path / "a.1").rename(tmp_path / "a.2")
        path.rename(tmp_path / "a.1")
        path.write_bytes(b"2\n")
        os.utime(tmp_path / "a.2", ns=(1 << 62, 1 << 62))
        clock.sleep(5)
        assert collected(tail) + collected(tail) == [b"2"]
    finally:
        tail.close()


def handles(path: Path) -> int:
    """How often this process has that file open."""
    return sum(os.path.realpath(each) == str(path) for each in Path("/proc/self/fd").iterdir())
