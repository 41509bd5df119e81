"""What is asked of a real Prometheus about the world: version 3 of digits took the place of 2 300 s ago."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from airbag.rules import PROFILES
from airbag_rollback.config import Settings, load_settings
from airbag_rollback.engine.inputs import largest_shift
from airbag_rollback.engine.states import State
from airbag_rollback.engine.target import Choice
from airbag_rollback.engine.world import World
from airbag_rollback.evidence import Evidence
from airbag_rollback.journal import Journal, open_journal
from airbag_rollback.prometheus import Prometheus
from airbag_rollback.records import Action
from airbag_rollback.signals import SIGNALS
from airbag_rollback.world import Surroundings
from tests.fakes.clock import SetClock
from tests.fakes.real_prometheus import Course, since, with_past
from tests.fakes.rollback import surroundings

RELEASED = -300.0
_S = 'serving="main"'


def _of(model: str, version: int) -> str:
    return f'{{{_S},model_name="{model}",model_version="{version}"}}'


def _traffic(
    name: str, counted: str, version: int, model: str, bad: Course, begin: float, end: float
) -> dict[str, Course]:
    """The records of a share, from `begin` to `end`: 200 answers in each window."""

    def within(course: Course) -> Course:
        return lambda at: course(at) if begin <= at < end else None

    of, at = f"model_version:airbag_tfs_{name}", _of(model, version)
    found = {f"{of}:{kind}{at}": within(bad) for kind in ("ratio15s", "lower_bound15s", "lower_bound5s")}
    many = {
        f"model_version:airbag_tfs_{counted}:increase{window}{at}": within(lambda _: 200.0) for window in ("15s", "5s")
    }
    return found | many


def _inputs(version: int, low: Course, begin: float, end: float) -> dict[str, Course]:
    """Counters of the feature age with two bins; `low` is how many rows a second are in the lower one, of 100."""
    labels = f'{_S},model_name="digits",model_version="{version}",feature="age",ref="r"'
    edges = {"start": lambda _: 0.0, "00": low, "01": lambda _: 100.0}
    found: dict[str, Course] = {}
    for edge, rate in edges.items():

        def course(at: float, rate: Course = rate) -> float | None:
            return (rate(at) or 0.0) * (at - begin) if begin <= at < end else None

        found[f'airbag_quality_feature_le_total{{{labels},bin="{edge}",prev=""}}'] = course
    return found


MODEL = f'{{{_S},model_name="digits"}}'
PAST: dict[str, Course] = {
    "airbag_tfs_error_ratio_max" + MODEL: since(-900, 0.05),
    "airbag_tfs_slow_ratio_max" + MODEL: since(-900, 0.05),
    "airbag_tfs_requests_min" + MODEL: since(-900, 20),
    **{f'airbag_tfs_error_ratio_max{{{_S},model_name="other{n}"}}': since(-900, 0.05) for n in range(6)},
    **{f'airbag_tfs_requests_min{{{_S},model_name="other{n}"}}': since(-900, 20) for n in range(6)},
    **_traffic("errors_per_request", "requests", 2, "digits", since(-900, 0.01), -900, RELEASED),
    # good for four minutes, then bad; its first answers are not yet in what the version before bore
    **_traffic("errors_per_request", "requests", 3, "digits", lambda at: 0.01 if at < -60 else 0.9, RELEASED + 5, 900),
    **_traffic("slow_per_answer", "answers", 3, "digits", since(-900, 0.5), RELEASED + 5, 900),
    f"model_version:airbag_tfs_requests:increase15s{_of('digits', 1)}": since(-900, 100, RELEASED),
    # others: 0 to 2 are bad by now, 3 and 4 good, 5 has too little traffic
    **{
        key: course
        for n in range(6)
        for key, course in _traffic(
            "errors_per_request", "requests", 7, f"other{n}", since(-900, 0.9 if n < 3 else 0.0), -900, 900
        ).items()
    },
    **{
        f'ALERTS{{alertname="AirbagErrorRatioHigh",alertstate="firing",{_of(f"other{n}", 7)[1:]}': since(-900, 1)
        for n in range(3)
    },
    **{
        f"model_version:airbag_tfs_requests:increase{window}{_of('other5', 7)}": since(-900, 19)
        for window in ("15s", "5s")
    },
    'airbag_tfs_up{serving="main",target="one"}': since(-900, 1),
    **{
        f'airbag_tfs_available_versions{{{_S},target="one",model_name="other{n}"}}': since(-900, 1) for n in range(2)
    },
    f'ALERTS{{alertname="AirbagVersionLoadFailed",alertstate="pending",{_of("other0", 7)[1:]}': since(-900, 1),
    f'ALERTS{{alertname="AirbagVersionLoadFailed",alertstate="pending",{_of("digits", 3)[1:]}': since(-900, 1),
    **_inputs(2, lambda _: 30.0, -900, RELEASED),
    **_inputs(3, lambda _: 90.0, RELEASED, 900),
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What one test asks with."""

    url: str
    now: float
    journal: Journal
    settings: Callable[[], Settings]

    def look(
        self, alertname: str, released: float = RELEASED, target: int = 2, model: str = "digits"
    ) -> tuple[World, Evidence]:
        """What is found beside version 3, which was released `released` seconds from now."""
        ledger, before, then = self.journal.ledger, self.now - 1800, self.now + released
        for n in range(6):
            ledger.observe("main", f"other{n}", frozenset({7}), frozenset({7}), self.now - 90_000)
        ledger.observe("main", model, frozenset({2}), frozenset({2}), before)
        for at in range(0, int(then - before), 10):
            ledger.observe("main", model, frozenset({2}), frozenset({2}), before + at)
        ledger.observe("main", model, frozenset({3}), frozenset({3}), then)
        evidence = Evidence(Prometheus(self.url), SetClock(self.now), "main", model, PROFILES["fast"])
        action = Action(
            id=1, key="k", serving="main", model_name=model, bad_version=3, epoch=1, alertname=alertname,
            state=State.EVALUATING, rev=1, deadline=0.0,
        )  # fmt: skip
        found = Surroundings(self.journal, self.settings).look(action, Choice(target, ()), evidence)
        evidence.prometheus.close()
        return found, evidence


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, float]]:
    with with_past(tmp_path_factory.mktemp("prometheus"), PAST) as found:
        yield found


@pytest.fixture
def asked(past: tuple[str, float], tmp_path: Path) -> Iterator[Asked]:
    with surroundings(tmp_path) as around:
        settings = load_settings(around.policy_file)
        journal = open_journal(tmp_path / "journal.sqlite", b"key")
        try:
            yield Asked(*past, journal, lambda: settings)
        finally:
            journal.close()


def test_other_models_with_enough_traffic_are_counted_and_those_of_them_that_are_bad(asked: Asked) -> None:
    world, evidence = asked.look("AirbagErrorRatioHigh")
    assert (world.others_bad, world.others_judged) == (3, 5)
    (kept,) = [each for each in evidence.readings if each.what == "the other models"]
    assert (kept.outcome, kept.value) == ("rows", 6)


def test_a_model_that_was_released_lately_itself_says_nothing_about_the_world(asked: Asked) -> None:
    for n in (0, 1, 2):
        asked.journal.ledger.observe("main", f"other{n}", frozenset({6}), frozenset({6}), asked.now - 90_000)
        asked.journal.ledger.observe("main", f"other{n}", frozenset({7}), frozenset({7}), asked.now - 3500)
    world, _ = asked.look("AirbagErrorRatioHigh")
    assert (world.others_bad, world.others_judged) == (0, 2)


def test_loads_that_fail_at_the_same_time_count_also_after_a_release(asked: Asked) -> None:
    for n in range(2):
        asked.journal.ledger.observe("main", f"other{n}", frozenset({6}), frozenset({6, 7}), asked.now - 10)
    world, evidence = asked.look("AirbagVersionLoadFailed")
    assert world == World(others_bad=1, others_judged=2)
    assert len(evidence.readings) == 1


def test_the_seconds_in_which_the_suspect_was_good_are_counted_since_its_release(asked: Asked) -> None:
    world, _ = asked.look("AirbagErrorRatioHigh")
    assert world.good_for == pytest.approx(240, abs=30)


def test_a_suspect_that_was_never_good_has_not_been_good_for_any_time(asked: Asked) -> None:
    world, evidence = asked.look("AirbagLatencyHigh")
    assert world.good_for is None
    assert "good looks since the release of 3" in {each.what for each in evidence.readings}


def test_what_was_before_the_release_does_not_count_as_good(asked: Asked) -> None:
    world, _ = asked.look("AirbagErrorRatioHigh", released=-50)
    assert world.good_for is None


def test_the_models_whole_traffic_now_is_compared_with_that_before_the_target_left(asked: Asked) -> None:
    """200 requests of version 3 in the last 5 s, and none before; 200 of 2 and 100 of 1 in 15 s then.

    They count for three times as many, less three standard errors.
    """
    world, _ = asked.look("AirbagLatencyHigh")
    assert world.load_ratio == pytest.approx(3 * (200 - 3 * math.sqrt(200)) / 300, rel=0.05)


def test_of_several_looks_each_may_claim_less() -> None:
    one, other = {("x", "r"): {"0": 90.0, "1": 100.0}}, {("x", "r"): {"0": 10.0, "1": 100.0}}
    once, thrice = largest_shift(one, other), largest_shift(one, other, 3)
    assert once is not None
    assert thrice is not None
    assert thrice.distance < once.distance


def test_only_latency_is_moved_by_load_and_only_quality_by_inputs(asked: Asked) -> None:
    world, _ = asked.look("AirbagErrorRatioHigh")
    assert (world.load_ratio, world.inputs_ks) == (None, None)


@pytest.mark.parametrize("alertname", ["AirbagAccuracyLow", "AirbagAccuracyDropped"])
def test_inputs_that_differ_from_what_the_target_got_are_found(asked: Asked, alertname: str) -> None:
    world, _ = asked.look(alertname)
    assert world.input == "age"
    assert world.inputs_ks is not None
    assert 0.5 < world.inputs_ks < 0.6


@pytest.mark.parametrize("alertname", SIGNALS)
def test_where_prometheus_knows_nothing_of_a_model_nothing_speaks(asked: Asked, alertname: str) -> None:
    world, evidence = asked.look(alertname, model="nobody")
    assert replace(world, others_bad=0, others_judged=0) == World()
    assert evidence.readings
    assert not [each for each in evidence.readings if each.outcome == "error"]


def test_a_prometheus_that_is_gone_speaks_for_nothing_and_is_on_record(asked: Asked) -> None:
    world, evidence = replace(asked, url="http://127.0.0.1:9").look("AirbagLatencyHigh")
    assert world == World()
    assert {each.outcome for each in evidence.readings} == {"error"}


def test_without_a_target_nothing_is_asked(asked: Asked) -> None:
    evidence = Evidence(Prometheus(asked.url), SetClock(asked.now), "main", "digits", PROFILES["fast"])
    action = Action(
        id=1, key="k", serving="main", model_name="digits", bad_version=3, epoch=1, alertname="AirbagLatencyHigh",
        state=State.EVALUATING, rev=1, deadline=0.0,
    )  # fmt: skip
    assert Surroundings(asked.journal, asked.settings).look(action, Choice(None, ()), evidence) == World()
    assert evidence.readings == []
