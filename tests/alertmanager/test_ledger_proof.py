"""How versions earn the proof that going back to them needs, and what of it outlives a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from airbag.errors import RemoteError
from airbag_rollback.config import Settings, load_settings
from airbag_rollback.files import Files, FilesOf, FileWatch
from airbag_rollback.journal import Journal, open_journal
from airbag_rollback.journal.ledger import Proof
from airbag_rollback.place import Place
from airbag_rollback.prove import Prover
from airbag_rollback.records import Served
from tests.fakes.clock import SetClock
from tests.fakes.prometheus_api import FakePrometheus, prometheus
from tests.fakes.real_prometheus import Course, growing, since, with_past
from tests.fakes.rollback import Surroundings, surroundings
from tests.fakes.wait import until


@dataclass
class Book:
    """A journal that can be closed and opened again."""

    path: Place
    journal: Journal

    def reopen(self) -> None:
        self.journal.close()
        self.journal = open_journal(self.path, b"key")
        self.journal.lease.tend()

    def serve(self, *versions: int, at: float, model: str = "digits") -> None:
        self.journal.ledger.observe("main", model, frozenset(versions), frozenset(versions), at)

    def of(self, version: int, model: str = "digits") -> Served:
        return next(each for each in self.journal.ledger.served("main", model, 1e9) if each.version == version)


@pytest.fixture
def book(place: Place) -> Iterator[Book]:
    found = Book(place, open_journal(place, b"key"))
    found.journal.lease.tend()
    try:
        yield found
    finally:
        found.journal.close()


def test_what_a_version_answered_adds_up_also_over_a_restart(book: Book) -> None:
    book.serve(2, at=100)
    assert book.of(2).requests is None
    book.journal.ledger.note([Proof("main", "digits", 2, answered=40.5)], 115)
    book.reopen()
    book.journal.ledger.note([Proof("main", "digits", 2, answered=2)], 130)
    assert book.of(2).requests == 42.5


def test_what_nobody_can_tell_changes_nothing(book: Book) -> None:
    book.serve(2, at=100)
    book.journal.ledger.note([Proof("main", "digits", 2, answered=40, bad=False)], 115)
    before = book.of(2)
    book.journal.ledger.note([Proof("main", "digits", 2), Proof("main", "digits", 9, answered=7, bad=True)], 130)
    assert book.of(2) == before


@pytest.mark.parametrize(("bad", "times"), [(True, (130, 115)), (False, (None, 130)), (None, (None, 115))])
def test_bad_and_good_are_noted_with_their_latest_time(
    book: Book, bad: bool | None, times: tuple[float | None, float | None]
) -> None:
    book.serve(2, at=100)
    book.journal.ledger.note([Proof("main", "digits", 2, bad=False)], 115)
    book.journal.ledger.note([Proof("main", "digits", 2, bad=bad)], 130)
    book.reopen()
    assert (book.of(2).bad_at, book.of(2).good_at) == times


def test_proof_of_two_stints_is_one_versions_proof(book: Book) -> None:
    book.serve(2, at=100)
    book.journal.ledger.note([Proof("main", "digits", 2, answered=5, bad=True)], 110)
    book.serve(3, at=120)
    book.serve(2, at=130)
    book.journal.ledger.note([Proof("main", "digits", 2, answered=7, bad=False)], 140)
    found = book.of(2)
    assert (found.requests, found.bad_at, found.good_at) == (12, 110, 140)


def test_a_checksum_is_noted_once_for_what_serves_and_the_latest_one_counts(book: Book) -> None:
    ledger = book.journal.ledger
    book.serve(2, at=100)
    assert ledger.unread() == [("main", "digits", 2)]
    ledger.read("main", "digits", 2, "ff")
    ledger.read("main", "digits", 2, "ee")
    assert (book.of(2).checksum, ledger.unread()) == ("ff", [])
    book.serve(3, at=120)
    ledger.read("main", "digits", 2, "dd")
    assert book.of(2).checksum == "ff"
    book.serve(2, at=130)
    assert book.of(2).checksum == "ff"
    ledger.read("main", "digits", 2, "00")
    book.reopen()
    assert book.of(2).checksum == "00"


def test_when_a_version_left_is_known_and_now_while_it_serves(book: Book) -> None:
    ledger = book.journal.ledger
    book.serve(2, at=100)
    assert ledger.left("main", "digits", 2, 105) == 105
    book.serve(3, at=110)
    assert ledger.left("main", "digits", 2, 125) == 110
    assert ledger.left("main", "digits", 9, 125) == 125


def test_a_release_is_known_by_what_serves_and_by_what_is_wanted(book: Book) -> None:
    ledger = book.journal.ledger
    book.serve(2, at=100)
    book.serve(7, at=100, model="other")
    ledger.observe("main", "digits", frozenset({2}), frozenset({2, 3}), 200)
    assert ledger.released_since(100) == {("main", "digits"), ("main", "other")}
    assert ledger.released_since(101) == {("main", "digits")}
    assert ledger.released_since(201) == frozenset()


def _of(version: int, model: str = "digits") -> str:
    return f'serving="main",model_name="{model}",model_version="{version}"'


RECORD = "model_version:airbag_tfs_requests:increase15s"
ALERT = 'alertname="AirbagErrorRatioHigh",severity="critical"'
PAST: dict[str, Course] = {
    'airbag_tfs_requests_min{serving="main",model_name="digits"}': since(-300, 20),
    # 1 is accused, 2 does well, 3 is about to be accused, 4 has little traffic, 5 was not evaluated for a while
    f"{RECORD}{{{_of(1)}}}": since(-300, 100),
    f"{RECORD}{{{_of(2)}}}": since(-300, 100),
    f"{RECORD}{{{_of(3)}}}": since(-300, 100),
    f"{RECORD}{{{_of(4)}}}": since(-300, 19),
    f"{RECORD}{{{_of(5)}}}": since(-300, 100, -30),
    f'ALERTS{{{ALERT},airbag_action="rollback",alertstate="firing",{_of(1)}}}': since(-300, 1),
    f'ALERTS{{{ALERT},airbag_action="rollback",alertstate="pending",{_of(3)}}}': since(-300, 1),
    f'ALERTS{{alertname="AirbagLatencyRegressed",alertstate="firing",{_of(2)}}}': since(-300, 1),
    **{
        f'airbag_tfs_requests_total{{{_of(version)},target="{target}",status="{status}"}}': growing(rate)
        for version in (1, 2)
        for target in ("one", "two")
        for status, rate in (("OK", 4.0), ("INTERNAL", 100.0))
    },
    f'airbag_tfs_requests_total{{{_of(2).replace(chr(50), "switching")},target="one",status="OK"}}': growing(9.0),
}  # fmt: skip


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, float]]:
    with with_past(tmp_path_factory.mktemp("prometheus"), PAST, back=300, step=1.0) as found:
        yield found


def _settings(around: Surroundings, url: str) -> Callable[[], Settings]:
    around.write_policy(prometheus_url=url)
    settings = load_settings(around.policy_file)
    return lambda: settings


def test_two_questions_prove_the_whole_fleet(book: Book, past: tuple[str, float], tmp_path: Path) -> None:
    """Asked of a real Prometheus: 8 answers a second of each version, of which errors are none."""
    url, now = past
    for version in (1, 2, 3, 4, 5):
        book.serve(version, at=now - 100 + version)
    with surroundings(tmp_path) as around:
        Prover(_settings(around, url), book.journal, SetClock(now)).note()
    requests = {version: book.of(version).requests for version in (1, 2, 3, 4, 5)}
    assert requests == {1: pytest.approx(40, rel=0.1), 2: pytest.approx(40, rel=0.1), 3: None, 4: None, 5: None}
    assert {version: book.of(version).bad_at for version in requests} == {1: now, 2: None, 3: None, 4: None, 5: None}
    assert {version: book.of(version).good_at for version in requests} == {1: None, 2: now, 3: None, 4: None, 5: None}


@pytest.fixture
def fake() -> Iterator[FakePrometheus]:
    with prometheus() as found:
        yield found


def test_a_note_makes_up_for_those_that_failed_and_for_no_more_than_five_minutes(
    book: Book, fake: FakePrometheus, tmp_path: Path
) -> None:
    with surroundings(tmp_path) as around:
        clock = SetClock(1000.0)
        prover = Prover(_settings(around, fake.url), book.journal, clock)
        prover.note()
        fake.status = 503
        clock.time += 15
        with pytest.raises(RemoteError):
            prover.note()
        fake.status = 200
        clock.time += 15.2
        prover.note()
        clock.time += 3600
        prover.note()
    ranges = [query.rpartition("[")[2].partition("]")[0] for query, _ in fake.asked if "increase(" in query]
    assert ranges == ["5s", "15s", "31s", "300s"]


def test_a_standby_proves_nothing_and_what_the_leader_counted_is_not_counted_again(
    book: Book, fake: FakePrometheus, tmp_path: Path
) -> None:
    with surroundings(tmp_path) as around:
        clock = SetClock(1000.0)
        prover = Prover(_settings(around, fake.url), book.journal, clock)
        prover.turn()
        fence, book.journal.database.fence = book.journal.database.fence, 0
        asked = len(fake.asked)
        prover.turn()
        assert len(fake.asked) == asked
        clock.time += 100
        book.journal.database.fence = fence
        prover.turn()
    assert "[5s]" in fake.asked[asked][0]


def test_a_prometheus_that_lies_does_not_end_the_proving(book: Book, fake: FakePrometheus, tmp_path: Path) -> None:
    book.serve(2, at=900)
    with surroundings(tmp_path) as around:
        prover = Prover(_settings(around, fake.url), book.journal, SetClock(1000.0))
        for body in (b"no JSON", b'{"data":{"result":[{"metric":{"model_version":"x"},"value":[0,"1"]}]}}'):
            fake.body = body
            prover.turn()
    assert (book.of(2).requests, book.of(2).bad_at) == (None, None)


def test_the_files_of_what_serves_are_read_and_noted(book: Book, tmp_path: Path) -> None:
    with surroundings(tmp_path) as around:
        files = Files()
        watch = FileWatch(lambda: load_settings(around.policy_file).servings, book.journal, files, lambda: 0.0)
        book.serve(2, at=100)
        watch.look_around()
        noted = book.of(2).checksum
        assert noted == files.checksum(around.folder / "store" / "digits" / "2")
        (around.folder / "store" / "digits" / "2" / "saved_model.pb").write_bytes(b"others")
        watch.look_around()
        assert book.of(2).checksum == noted


def test_what_changed_of_what_served_is_read_ahead_so_that_a_decision_finds_it_read(book: Book, tmp_path: Path) -> None:
    with surroundings(tmp_path) as around:
        base = around.folder / "store" / "digits"
        files = Files(read_max=0)
        watch = FileWatch(lambda: load_settings(around.policy_file).servings, book.journal, files, lambda: 0.0)
        book.serve(2, at=100)
        watch.look_around()
        book.serve(3, at=110)
        noted = book.of(2).checksum
        (base / "2" / "saved_model.pb").write_bytes(b"others")
        assert "not compared yet" in files.flaw(FilesOf(base, 2, 3, noted, loaded=True), 0.0)
        for _ in range(12):
            watch.look_around()
        assert "has other files" in files.flaw(FilesOf(base, 2, 3, noted, loaded=True), 0.0)


def test_a_store_that_cannot_be_seen_leaves_the_checksum_open(book: Book, tmp_path: Path) -> None:
    with surroundings(tmp_path) as around:
        around.models_config.write_text(around.models_config.read_text().replace("/store/", "/elsewhere/"))
        watch = FileWatch(lambda: load_settings(around.policy_file).servings, book.journal, Files(), lambda: 0.0)
        book.serve(2, at=100)
        watch.look_around()
        assert book.of(2).checksum == ""


def test_the_threads_note_by_themselves_and_end_when_told(book: Book, fake: FakePrometheus, tmp_path: Path) -> None:
    with surroundings(tmp_path) as around:
        settings = _settings(around, fake.url)
        book.serve(2, at=100)
        prover = Prover(settings, book.journal, SetClock(1000.0), every=0.01)
        watch = FileWatch(lambda: settings().servings, book.journal, Files(), lambda: 0.0, every=0.01)
        prover.start()
        watch.start()
        try:
            until(lambda: book.of(2).checksum, what="the checksum")
            until(lambda: len(fake.asked) > 3, what="two notes")
        finally:
            for thread in (prover, watch):
                thread.stop()
                thread.join(10)
    assert not prover.is_alive()
    assert not watch.is_alive()
