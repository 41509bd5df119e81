"""Joining and counting: each prediction and each label counts once, whatever comes twice, early, late or never."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airbag.config import parse
from airbag_exporters.config import ExportersConfig
from airbag_exporters.quality.book import Book
from airbag_exporters.quality.columns import BadBatch, Coded, Floats, Labels, Owner, Predictions
from airbag_exporters.quality.counters import Model
from airbag_exporters.quality.counting import RESULTS, families
from airbag_exporters.quality.hashing import hash_texts
from airbag_exporters.quality.ledger.open import open_ledger
from airbag_exporters.quality.ledger.values import Change, Conflict, Ledger, LedgerUnavailable
from tests.fakes.clock import SetClock

CONFIG = """
servings:
  - name: main
    targets: [{name: t, grpc: "h:1"}]
    models:
      - {name: digits, classes: ["0", "1"], quality: {versions_max: 3}}
      - {name: prices, quality: {kind: regression}}
      - {name: words, quality: {kind: translation}}
      - {name: clicks, quality: {kind: ranking}}
quality: {pending_max: 5, label_ttl: 100s, early_label_ttl: 10s, version_ttl: 1h}
"""
DIGITS = Owner("main", "digits", "3")


def config(text: str = CONFIG) -> ExportersConfig:
    return parse(text, ExportersConfig, source="exporters.yml", base=Path())


class Desk:
    """A book with a clock that is set, and short words for what is done with it."""

    def __init__(self, text: str = CONFIG, folder: Path | None = None) -> None:
        self.clock = SetClock(1000.0)
        self._config = config(text)
        self._quality = self._config.quality.model_copy(update={"state_folder": folder})
        self._open()

    def _open(self) -> None:
        self.ledger = open_ledger(self._quality, self.clock)
        self.book = Book(self._config, self.ledger, self.clock.now)

    def restart(self) -> None:
        """Only what is in the folder is left."""
        self.ledger.close()
        self._open()

    def predict(self, ids: str, predicted: str, owner: Owner = DIGITS, actual: str | None = None) -> None:
        """One letter an id, one a class."""
        self.book.take_predictions([self.rows(ids, predicted, owner, actual)])

    def rows(self, ids: str, predicted: str, owner: Owner = DIGITS, actual: str | None = None) -> Predictions:
        return Predictions(
            owner, np.full(len(ids), self.clock.now()), hash_texts(list(ids)), Coded.of(list(predicted)),
            actual=Coded.of(list(actual)) if actual else None,
        )  # fmt: skip

    def label(self, ids: str, actual: str | list[float]) -> None:
        column: Coded | Floats = Coded.of(list(actual)) if isinstance(actual, str) else np.array(actual)
        self.book.take_labels(Labels(hash_texts(list(ids)), column, np.full(len(ids), self.clock.now())))

    def expire(self) -> None:
        while self.book.expire():
            pass

    def labels(self, model: str = "digits") -> dict[str, int]:
        block = self.book.counters.models.get(Model("main", model))
        counts = block.of(families.LABELS).tolist() if block else [0] * len(RESULTS)
        return {result: count for result, count in zip(RESULTS, counts, strict=True) if count}

    def right(self, owner: Owner = DIGITS) -> tuple[int, int]:
        """How many labelled predictions were right, and how many wrong."""
        right, wrong = self.book.counters.versions[owner].of(families.LABELLED).tolist()
        return right, wrong

    def predicted(self, owner: Owner = DIGITS) -> int:
        return int(self.book.counters.versions[owner].of(families.PREDICTIONS).sum())


def test_a_label_counts_once_with_its_prediction() -> None:
    desk = Desk()
    desk.predict("ab", "10")
    desk.label("aab", "101")
    desk.label("a", "0")
    assert (desk.predicted(), desk.right()) == (2, (1, 1))
    assert desk.labels() == {"joined": 2, "duplicate": 2}
    assert desk.ledger.pending() == 0


def test_a_prediction_that_is_delivered_twice_counts_once() -> None:
    desk = Desk()
    desk.predict("aba", "101")
    desk.label("a", "1")
    desk.predict("abc", "110")
    assert desk.predicted() == 3
    assert desk.ledger.pending() == 2
    desk.label("b", "0")
    assert desk.right() == (2, 0)


def test_an_id_that_stands_in_two_parts_of_a_batch_counts_in_the_first() -> None:
    desk = Desk()
    other = Owner("main", "digits", "4")
    keyless = Predictions(DIGITS, np.zeros(2), predicted=Coded.of(["1", "1"]))
    desk.book.take_predictions([desk.rows("ab", "11"), keyless, desk.rows("bc", "00", other)])
    assert (desk.predicted(), desk.predicted(other)) == (4, 1)
    desk.label("bc", "10")
    assert (desk.right(), desk.right(other)) == ((1, 0), (1, 0))


def test_labels_that_come_with_their_predictions_count_at_once() -> None:
    desk = Desk()
    desk.predict("ab", "10", actual="11")
    assert desk.right() == (1, 1)
    assert desk.ledger.pending() == 0
    desk.predict("ab", "10", actual="11")
    desk.label("a", "1")
    assert desk.right() == (1, 1)
    assert desk.labels() == {"joined": 2, "duplicate": 1}


def test_a_label_that_is_early_waits_for_its_prediction() -> None:
    desk = Desk()
    desk.label("ab", "10")
    assert desk.labels("other") == {}
    desk.label("b", "0")
    desk.predict("abc", "111")
    assert desk.right() == (1, 1)
    assert desk.labels() == {"joined": 2}
    assert desk.labels("other") == {"duplicate": 1}
    assert desk.ledger.pending() == 1


def test_an_early_label_that_its_model_cannot_have_spoils_no_other() -> None:
    desk = Desk()
    desk.label("abc", "12x")
    desk.label("d", [3.0])
    owner = Owner("main", "prices", "1")
    desk.book.take_predictions([Predictions(owner, np.zeros(4), hash_texts(list("abcd")), value=np.zeros(4))])
    assert desk.labels("prices") == {"joined": 3, "unmatched": 1}
    assert desk.book.counters.versions[owner].of(families.ABSOLUTE_ERROR).tolist() == [6.0]


def test_a_label_without_a_prediction_is_unmatched_when_its_time_is_up() -> None:
    desk = Desk()
    desk.label("a", "1")
    desk.clock.sleep(11)
    desk.expire()
    assert desk.labels("other") == {"unmatched": 1}
    desk.expire()
    assert desk.labels("other") == {"unmatched": 1}


def test_without_patience_a_label_without_a_prediction_is_unmatched_at_once() -> None:
    desk = Desk(text=CONFIG.replace("early_label_ttl: 10s", "early_label_ttl: 0s"))
    desk.label("a", "1")
    assert desk.labels("other") == {"unmatched": 1}


def test_what_gets_no_label_in_time_expires_and_its_label_has_no_prediction() -> None:
    desk = Desk()
    desk.predict("ab", "11")
    desk.label("a", "1")
    desk.clock.sleep(101)
    desk.expire()
    assert desk.labels() == {"joined": 1, "expired": 1}
    desk.label("ab", "11")
    assert desk.labels() == {"joined": 1, "expired": 1}


def test_beyond_the_bound_the_oldest_make_room() -> None:
    desk = Desk()
    desk.predict("abcdefg", "1111111")
    desk.expire()
    assert desk.labels() == {"expired": 2}
    desk.label("g", "1")
    assert desk.right() == (1, 0)


def test_classes_that_are_not_configured_are_judged_by_their_names() -> None:
    desk = Desk()
    desk.predict("ab", "xx")
    desk.label("ab", "xy")
    assert desk.right() == (1, 1)


def test_a_class_may_be_labelled_by_its_number() -> None:
    desk = Desk()
    desk.predict("ab", "10")
    desk.label("ab", [1.0, 1.0])
    assert desk.right() == (1, 1)


def test_versions_that_clients_invent_are_bounded() -> None:
    desk = Desk()
    for number in range(9):
        desk.predict(str(number), "1", DIGITS._replace(version=str(number)))
    assert [owner.version for owner in desk.book.counters.versions] == ["0", "1", "2", "other"]
    assert desk.predicted(DIGITS._replace(version="other")) == 6


def test_a_version_that_is_gone_for_long_makes_room(tmp_path: Path) -> None:
    desk = Desk(folder=tmp_path)
    for number in "123":
        desk.predict(number, "1", DIGITS._replace(version=number))
    desk.clock.sleep(3500)
    desk.predict("x", "1", DIGITS._replace(version="2"))
    desk.clock.sleep(200)
    desk.book.drop_old_versions()
    assert [owner.version for owner in desk.book.counters.versions] == ["2"]
    desk.restart()
    assert [owner.version for owner in desk.book.counters.versions] == ["2"]
    desk.ledger.close()


@pytest.mark.parametrize(
    ("model", "message"), [("prices", "item 2, field `actual`: .* a finite number"), ("clicks", "item 2.* 0 or 1")]
)
def test_a_label_that_its_model_cannot_have_refuses_the_batch_whole(model: str, message: str) -> None:
    desk = Desk()
    owner = Owner("main", model, "1")
    numbers = np.ones(2)
    rows = Predictions(owner, np.zeros(2), hash_texts(["a", "b"]), value=numbers, score=numbers)
    desk.book.take_predictions([rows])
    with pytest.raises(BadBatch, match=message):
        desk.label("ab", "1x")
    assert desk.labels(model) == {}
    desk.label("ab", "11")
    assert desk.labels(model) == {"joined": 2}


def test_a_translation_waits_with_its_text() -> None:
    desk = Desk()
    owner = Owner("main", "words", "1")
    rows = Predictions(owner, np.zeros(1), hash_texts(["a"]), texts=["the cat sat on the mat"])
    desk.book.take_predictions([rows])
    column = Coded.of(["the cat sat on a mat"])
    desk.book.take_labels(Labels(hash_texts(["a"]), column, np.zeros(1)))
    block = desk.book.counters.versions[owner]
    assert block.of(families.OUTPUT_TOKENS).tolist() == [6]
    assert block.of(families.NGRAM_MATCHES).tolist() == [5, 3, 2, 1]


def test_probabilities_wait_with_their_prediction() -> None:
    desk = Desk()
    rows = desk.rows("ab", "10")
    both = Predictions(**{**vars(rows), "scores": np.array([[0.2, 0.8], [np.nan, np.nan]])})
    desk.book.take_predictions([both])
    desk.label("ab", "11")
    block = desk.book.counters.versions[DIGITS]
    assert block.of(families.SCORED).tolist() == [1]
    assert block.of(families.LOG_LOSS).tolist() == [pytest.approx(-np.log(0.8))]


def test_counters_and_what_waits_go_on_after_a_restart(tmp_path: Path) -> None:
    desk = Desk(folder=tmp_path)
    desk.predict("ab", "10")
    desk.label("a", "1")
    desk.restart()
    desk.label("b", "0")
    assert (desk.predicted(), desk.right()) == (2, (2, 0))
    assert desk.book.counters.seen == {DIGITS: 1000.0}
    desk.ledger.close()


def test_counters_that_still_fit_go_on_under_another_configuration() -> None:
    desk = Desk()
    desk.predict("ab", "10")
    desk.book.configure(config(CONFIG.replace('["0", "1"]', '["0", "1", "2"]')))
    desk.predict("c", "2")
    desk.label("abc", "112")
    assert (desk.predicted(), desk.right()) == (3, (2, 1))


class Rival:
    """A ledger that another replica is faster at, a few times, or that fails."""

    def __init__(self, inner: Ledger, failures: list[Exception]) -> None:
        self._inner = inner
        self._failures = failures

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def commit(self, change: Change) -> None:
        if self._failures:
            raise self._failures.pop()
        self._inner.commit(change)


def test_who_is_slower_than_another_replica_looks_again() -> None:
    desk = Desk()
    desk.book._ledger = Rival(desk.ledger, [Conflict("a"), Conflict("b")])  # type: ignore[assignment]
    desk.predict("ab", "11")
    assert desk.predicted() == 2


@pytest.mark.parametrize("error", [LedgerUnavailable("disk full"), Conflict("always")])
def test_what_cannot_be_committed_leaves_no_trace(error: Exception) -> None:
    desk = Desk()
    desk.predict("a", "1")
    before = desk.book.counters
    desk.book._ledger = Rival(desk.ledger, [error] * 20)  # type: ignore[assignment]
    with pytest.raises(type(error)):
        desk.label("a", "1")
    with pytest.raises(type(error)):
        desk.predict("b", "1")
    assert desk.book.counters is before
    desk.book._ledger = desk.ledger
    desk.label("a", "1")
    assert desk.right() == (1, 0)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("ppllx"), st.text("abcdefgh", min_size=1, max_size=4), st.floats(0, 30))))
def test_every_prediction_is_joined_expired_or_waiting_and_never_two_of_these(
    events: list[tuple[str, str, float]],
) -> None:
    with TemporaryDirectory() as folder:
        _play(Desk(folder=Path(folder)), events)


def _play(desk: Desk, events: list[tuple[str, str, float]]) -> None:
    for kind, ids, pause in events:
        desk.clock.sleep(pause)
        desk.expire()
        if kind == "p":
            desk.predict(ids, "1" * len(ids))
        elif kind == "l":
            desk.label(ids, "1" * len(ids))
        else:
            desk.restart()
    desk.expire()
    found = Counter(desk.labels())
    taken = desk.predicted() if DIGITS in desk.book.counters.versions else 0
    assert taken == found["joined"] + found["expired"] + desk.ledger.pending()
    assert desk.ledger.pending() <= 5
    desk.ledger.close()


def test_a_batch_of_more_rows_than_the_ledger_takes_at_once_is_taken_in_portions() -> None:
    desk = Desk(text=CONFIG.replace("pending_max: 5", "pending_max: 50"))
    small = Small(desk.ledger)
    desk.book._ledger = small  # type: ignore[assignment]
    desk.predict("abcdefg", "1111111")
    desk.book.take_predictions([desk.rows("hi", "11"), desk.rows("jk", "11", DIGITS._replace(version="4"))], {"f": "9"})
    desk.label("abcdhbk", "1110111")
    assert (desk.predicted(), desk.right()) == (9, (4, 1))
    assert desk.labels() == {"joined": 6, "duplicate": 1}
    assert small.sizes == [3, 3, 1, 2, 2, 3, 2, 1]
    assert small.cursors == [{}, {}, {}, {}, {"f": "9"}, {}, {}, {}]


class Small:
    """A ledger that takes three rows at once, and tells what it was given."""

    batch_rows_max = 3

    def __init__(self, inner: Ledger) -> None:
        self._inner = inner
        self.sizes: list[int] = []
        self.cursors: list[object] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def commit(self, change: Change) -> None:
        self.sizes.append(len(change.new) + len(change.done))
        self.cursors.append(change.cursors)
        self._inner.commit(change)


def test_what_was_shown_is_known_after_a_restart(tmp_path: Path) -> None:
    desk = Desk(folder=tmp_path)
    desk.predict("a", "1")
    desk.book.show(frozenset({DIGITS, DIGITS._replace(version="99")}))
    assert desk.book.counters.shown == {DIGITS}
    desk.restart()
    assert desk.book.counters.shown == {DIGITS}
    desk.predict("b", "1", DIGITS._replace(version="4"))
    assert desk.book.counters.shown == {DIGITS}
    desk.ledger.close()
