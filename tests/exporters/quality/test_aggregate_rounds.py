"""What the aggregator shows while replicas come, go, lie and hang."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from airbag.exposition import Family
from airbag.rules import RuleSettings
from airbag_exporters.quality.aggregate.fleet import STALE_AFTER
from airbag_exporters.quality.aggregate.replicas import Replicas
from airbag_exporters.quality.aggregate.rounds import Rounds, Wanted
from airbag_exporters.quality.columns import Owner
from airbag_exporters.quality.counting import Block
from airbag_exporters.quality.counting.slices import Part, Shape, Slices
from airbag_exporters.quality.render import Snapshot
from tests.exporters.processes import assert_lints
from tests.exporters.quality.fleet_of_two import Replica, reference, spec, version
from tests.exporters.quality.snapshot_server import FakeReplica, fake_replica
from tests.fakes.clock import SetClock

WINDOWS = RuleSettings(quality=("5m",), drift=("15m",))
CHURN = spec("binary", "churn", reference(1), ("no", "yes"))
OWNER = Owner("main", "churn", "3")
ROWS = "model_version:airbag_quality_labelled:increase5m"


class Aggregator:
    """Rounds of a clock that a test moves."""

    def __init__(self, replicas: Replicas, clock: SetClock, fakes: tuple[FakeReplica, ...], token: str | None) -> None:
        self.wanted = Wanted(tuple(fake.url for fake in fakes), token, 15.0, WINDOWS)
        self.clock = clock
        self.rounds = Rounds(self.wanted, clock, replicas)

    def after(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self.rounds.round()

    @property
    def text(self) -> str:
        return b"".join(self.rounds.pages()).decode()

    def values(self, name: str) -> list[float]:
        families = text_string_to_metric_families(self.text)
        return [sample.value for family in families for sample in family.samples if sample.name == name]

    def of(self, name: str, fake: FakeReplica) -> float | None:
        for family in text_string_to_metric_families(self.text):
            for sample in family.samples:
                if sample.name == f"airbag_quality_aggregate_{name}" and sample.labels == {"replica": fake.url}:
                    return float(sample.value)
        return None


@contextmanager
def aggregating(*fakes: FakeReplica, token: str | None = None, timeout: float = 20) -> Iterator[Aggregator]:
    clock = SetClock()
    with Replicas(timeout, clock) as replicas:
        yield Aggregator(replicas, clock, fakes, token)


@pytest.fixture
def one() -> Iterator[FakeReplica]:
    with fake_replica(labelled(0)) as fake:
        yield fake


@pytest.fixture
def two() -> Iterator[FakeReplica]:
    with fake_replica(labelled(0)) as fake:
        yield fake


def labelled(rows: int, reference_seed: int = 1) -> Snapshot:
    """A version of which so many rows are labelled."""
    profile = reference(reference_seed)
    known = version(replace(CHURN, reference=profile), "3", 1)
    known.base.ints[:] = 0
    known.base.floats[:] = 0
    family = next(
        part.family for part in known.base.layout.parts if part.family.name == "airbag_quality_labelled_total"
    )
    known.base.of(family)[0] = rows
    return Replica([known], {OWNER: "stable"}).at(0)


def test_adds_up_what_the_replicas_counted(one: FakeReplica, two: FakeReplica) -> None:
    with aggregating(one, two) as aggregator:
        assert aggregator.rounds.not_ready() == "no replica was asked yet"
        aggregator.after(0)
        assert (aggregator.values(ROWS), aggregator.rounds.not_ready()) == ([0], None)
        one.snapshot, two.snapshot = labelled(30), labelled(12)
        aggregator.after(15)
        assert aggregator.values(ROWS) == [42]
        assert_lints_but_for_colons(aggregator.text)
        aggregator.after(300)
        assert aggregator.values(ROWS) == [0]


def assert_lints_but_for_colons(text: str) -> None:
    """promtool has nothing to say but that these names look like those of recording rules, which is what they are."""
    assert_lints(text.replace(":", "_").replace("http_//", "http://"))


def test_tells_who_is_up_and_how_old_its_counters_are(one: FakeReplica, two: FakeReplica) -> None:
    with aggregating(one, two) as aggregator:
        two.status = 503
        aggregator.after(0)
        assert (aggregator.of("replica_up", one), aggregator.of("replica_up", two)) == (1, 0)
        assert (aggregator.of("age_seconds", one), aggregator.of("age_seconds", two)) == (0, None)
        assert (aggregator.of("failures_total", one), aggregator.of("failures_total", two)) == (0, 1)
        one.status, two.status = 500, 200
        aggregator.after(15)
        assert (aggregator.of("replica_up", one), aggregator.of("replica_up", two)) == (0, 1)
        aggregator.clock.sleep(2)
        assert (aggregator.of("age_seconds", one), aggregator.of("age_seconds", two)) == (17, 2)


def test_what_a_replica_counted_stays_for_its_window_after_it_died(one: FakeReplica, two: FakeReplica) -> None:
    with aggregating(one, two) as aggregator:
        aggregator.after(0)
        one.snapshot, two.snapshot = labelled(30), labelled(12)
        aggregator.after(15)
        two.status = 500
        aggregator.after(200)
        assert aggregator.values(ROWS) == [42]
        aggregator.after(100)
        assert aggregator.values(ROWS) == [0]


def test_a_replica_that_came_back_with_what_it_had_or_without_is_counted_right(
    one: FakeReplica, two: FakeReplica
) -> None:
    with aggregating(one, two) as aggregator:
        one.snapshot = two.snapshot = labelled(1000)
        aggregator.after(0)
        one.status = two.status = 500
        aggregator.after(15)
        one.status = two.status = 200
        one.snapshot, two.snapshot = labelled(1005), labelled(7)
        aggregator.after(15)
        assert aggregator.values(ROWS) == [12]


def test_what_a_silent_replica_said_of_roles_and_references_is_not_believed_for_long(
    one: FakeReplica, two: FakeReplica
) -> None:
    two.snapshot = labelled(0, reference_seed=2)
    mismatch = "model_version_feature:airbag_quality_reference:mismatch"
    with aggregating(one, two) as aggregator:
        aggregator.after(0)
        assert set(aggregator.values(mismatch)) == {0, 1}
        two.status = 500
        aggregator.after(STALE_AFTER - 1)
        assert set(aggregator.values(mismatch)) == {0, 1}
        aggregator.after(2)
        assert set(aggregator.values(mismatch)) == {0}
        one.status = 500
        aggregator.after(STALE_AFTER + 1)
        assert aggregator.values("model_version:airbag_quality_version_role:stable") == []


def test_a_replica_that_is_no_longer_listed_is_forgotten(one: FakeReplica, two: FakeReplica) -> None:
    with aggregating(one, two) as aggregator:
        aggregator.after(0)
        one.snapshot, two.snapshot = labelled(30), labelled(12)
        aggregator.after(15)
        aggregator.rounds.adopt(replace(aggregator.wanted, urls=(one.url,)))
        aggregator.after(15)
        assert (aggregator.values(ROWS), aggregator.of("replica_up", two)) == ([30], None)


def test_other_windows_begin_anew(one: FakeReplica) -> None:
    with aggregating(one) as aggregator:
        aggregator.after(0)
        aggregator.rounds.adopt(replace(aggregator.wanted, windows=RuleSettings(quality=("10m",))))
        aggregator.after(15)
        one.snapshot = labelled(5)
        aggregator.after(15)
        assert aggregator.values(ROWS) == []
        assert aggregator.values("model_version:airbag_quality_labelled:increase10m") == [5]


def test_brings_its_token(one: FakeReplica) -> None:
    one.token = "sesame"
    with aggregating(one) as without, aggregating(one, token="sesame") as with_token:
        without.after(0)
        with_token.after(0)
        assert (without.of("replica_up", one), with_token.of("replica_up", one)) == (0, 1)


def odd(rows: tuple[str, ...], value: float) -> Snapshot:
    """A snapshot of a series that no exporter of ours has."""
    family = Family("airbag_quality_squared_error_total", "counter", "", ())
    layout = Slices(tuple(OWNER), Shape((Part(family, (rows,), is_float=True),)))
    return Snapshot({OWNER: Block(layout, np.empty(0, np.int64), np.array([value]))})


@pytest.mark.parametrize("body", [b"", b"\xc1", b"<html>", b"\x80", b"\x81\xa6format\x02"])
def test_what_is_no_snapshot_is_a_replica_that_is_down(
    one: FakeReplica, two: FakeReplica, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with aggregating(one, two) as aggregator:
        aggregator.after(0)
        one.snapshot, two.body = labelled(8), body
        with caplog.at_level(logging.WARNING):
            aggregator.after(15)
            aggregator.after(15)
        assert (aggregator.of("replica_up", two), aggregator.values(ROWS)) == (0, [8])
        assert [record.message for record in caplog.records] == ["a replica does not give its counters"]


@pytest.mark.parametrize(
    ("snapshot", "why"),
    [
        (odd(("what",), 1.0), "series with more or fewer labels"),
        (odd((), np.nan), "counters that are no numbers"),
        (odd((), np.inf), "counters that are no numbers"),
    ],
)
def test_a_snapshot_that_makes_no_sense_spoils_nothing(
    one: FakeReplica, two: FakeReplica, snapshot: Snapshot, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    with aggregating(one, two) as aggregator:
        aggregator.after(0)
        one.snapshot, two.snapshot = labelled(8), snapshot
        aggregator.after(15)
        assert why in caplog.records[0].reason  # type: ignore[attr-defined]  # an extra of ours
        assert (aggregator.of("replica_up", two), aggregator.values(ROWS)) == (0, [8])


def test_a_replica_that_hangs_in_the_middle_of_its_answer_is_given_up(one: FakeReplica, two: FakeReplica) -> None:
    two.open.clear()
    with aggregating(one, two, timeout=0.5) as aggregator:
        aggregator.after(0)
        assert (aggregator.of("replica_up", one), aggregator.of("replica_up", two)) == (1, 0)


def test_a_replica_that_sends_too_slowly_is_given_up(
    one: FakeReplica, two: FakeReplica, caplog: pytest.LogCaptureFixture
) -> None:
    two.body = bytes(8 << 20)
    with aggregating(one, two) as aggregator:
        two.halfway = lambda: aggregator.clock.sleep(100)
        aggregator.after(0)
        assert (aggregator.of("replica_up", one), aggregator.of("replica_up", two)) == (1, 0)
        assert "takes longer than 20 s" in caplog.records[0].reason  # type: ignore[attr-defined]  # an extra of ours
