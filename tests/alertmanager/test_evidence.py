"""Questions to Prometheus, each kept; and every one of them asked of a real Prometheus with the shipped rules."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from airbag.rules import PROFILES
from airbag_rollback import prove, world
from airbag_rollback.evidence import Evidence
from airbag_rollback.prometheus import Prometheus
from airbag_rollback.signals import SIGNALS, Signal, fill
from tests.fakes.clock import SetClock
from tests.fakes.prometheus_api import FakePrometheus, prometheus
from tests.fakes.real_prometheus import with_rules
from tests.fakes.wait import until

FAST = PROFILES["fast"]
ERRORS = SIGNALS["AirbagErrorRatioHigh"]


@pytest.fixture
def fake() -> Iterator[FakePrometheus]:
    with prometheus() as found:
        yield found


def _evidence(url: str) -> Evidence:
    return Evidence(Prometheus(url), SetClock(), "main", "digits", FAST)


def test_in_one_look_nothing_is_asked_twice(fake: FakePrometheus) -> None:
    fake.errors(3, 0.9)
    fake.errors(2, 0.01)
    evidence = _evidence(fake.url)
    first, again, other = evidence.now(ERRORS, 3), evidence.now(ERRORS, 3), evidence.now(ERRORS, 2)
    assert first == again
    assert (first.threshold, other.threshold) == (0.05, 0.05)
    assert len(fake.asked) == len(set(fake.asked)) == len(evidence.readings) == 8
    _evidence(fake.url).now(ERRORS, 3)
    assert len(fake.asked) == 8 + 5


def test_a_question_without_an_answer_is_asked_again(fake: FakePrometheus) -> None:
    fake.status = 500
    evidence = _evidence(fake.url)
    assert evidence.number("a", "up", 3) is None
    fake.status = 200
    fake.values[("up", None, False)] = 1
    assert evidence.number("a", "up", 3) == 1
    assert [each.outcome for each in evidence.readings] == ["error", "value"]


@pytest.mark.parametrize(("answer", "outcome"), [(None, "empty"), ("NaN", "nan"), ("+Inf", "nan"), (1, "value")])
def test_what_came_back_is_kept_with_what_it_was(
    fake: FakePrometheus, answer: float | str | None, outcome: str
) -> None:
    fake.values[("up", None, False)] = answer
    evidence = _evidence(fake.url)
    assert evidence.number("a", "up", 3) == (1 if outcome == "value" else None)
    (kept,) = evidence.readings
    assert (kept.what, kept.query, kept.outcome) == ("a of 3", "up", outcome)


def test_of_many_series_their_number_is_kept(fake: FakePrometheus) -> None:
    evidence = _evidence(fake.url)
    assert evidence.rows("all", "up", 3) == ()
    fake.values[("up", None, False)] = 4
    rows = evidence.rows("all", "up", 3)
    assert rows is not None
    assert [(dict(row.labels), row.value) for row in rows] == [({}, 4.0)]
    fake.body = b'{"status":"success","data":{"result":[{"metric":{}}]}}'
    assert evidence.rows("all", "up", 3) is None
    assert [(each.outcome, each.value) for each in evidence.readings] == [("empty", None), ("rows", 1), ("error", None)]


BEGAN = time.time()


def _page() -> str:
    """What the exporters show of three models, of which digits has a stable version 2 and a candidate 3."""
    age = time.time() - BEGAN
    rows = []

    def row(name: str, value: float, **labels: object) -> None:
        told = ",".join(f'{key}="{value}"' for key, value in {"serving": "main", **labels}.items())
        rows.append(f"{name}{{{told}}} {value}")

    row("airbag_tfs_up", 1, target="one")
    row("airbag_tfs_last_poll_timestamp_seconds", time.time(), target="one")
    for model in ("digits", "other"):
        on = {"model_name": model}
        row("airbag_tfs_error_ratio_max", 0.05, **on)
        row("airbag_tfs_slow_ratio_max", 0.05, **on)
        row("airbag_tfs_requests_min", 20, **on)
        row("airbag_quality_labels_min", 20, **on)
        row("airbag_quality_accuracy_min", 0.8, **on)
        row("airbag_quality_accuracy_drop_max", 0.02, **on)
        row("airbag_tfs_available_versions", 2, target="one", **on)
        for version, bad, role in ((2, 0.0, "stable"), (3, 0.5, "candidate")):
            of = {**on, "model_version": version}
            server = {"target": "one", **of}
            asked = 50 * age
            row("airbag_tfs_requests_total", asked * (1 - bad), status="OK", **server)
            row("airbag_tfs_requests_total", asked * bad, status="INTERNAL", **server)
            row("airbag_tfs_answers_total", asked, **server)
            row("airbag_tfs_slow_requests_total", asked * bad, **server)
            row("airbag_quality_version_role", 1, role=role, **of)
            row("airbag_quality_labelled_total", asked * (1 - bad), correct="true", **of)
            row("airbag_quality_labelled_total", asked * bad, correct="false", **of)
            row("airbag_tfs_probe_success", 1 - bad * 2, probe="seven", **server)
            row("airbag_tfs_probe_last_timestamp_seconds", time.time(), probe="seven", **server)
            row("airbag_tfs_model_version_wanted", 1, **server)
            row("airbag_tfs_model_version_error", bad * 2, code="NOT_FOUND", **server)
            for edge, share in (("start", 0.0), ("00", 0.5 + bad), ("01", 1.0)):
                seen = {"feature": "age", "ref": "r", "bin": edge, "prev": ""}
                row("airbag_quality_feature_le_total", share * asked, **seen, **of)
    return "\n".join([*rows, ""])


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """After as many seconds as the rules need to fill a window."""
    with with_rules(tmp_path_factory.mktemp("prometheus"), _page) as url:
        found = Prometheus(url)
        firing = 'count(ALERTS{alertname="AirbagAccuracyDropped",alertstate="firing"})'
        until(lambda: found.instant(firing) == 2, timeout=120, what="both models to be accused")
        past = fill(world.REQUESTS_THEN, "main", "digits", 3, FAST)
        until(lambda: found.instant(past), timeout=120, what="enough of a past")
        yield found
        found.close()


def _asked(signal: Signal) -> dict[str, tuple[str, int]]:
    """Every question of a signal with the version that has an answer to it."""
    found = {
        "value": (signal.value, 3), "threshold": (signal.threshold, 3), "age": (signal.age, 3),
        "samples": (signal.samples, 3), "samples_min": (signal.samples_min, 3), "history": (signal.history, 2),
        "history_samples": (signal.history_samples, 2), "recovered": (signal.recovered, 2),
        "others": (signal.others, 3), "good": (f"count({signal.good})" if signal.good else "", 2),
    }  # fmt: skip
    return {what: (query, version) for what, (query, version) in found.items() if query}


QUESTIONS = [
    pytest.param(query, version, id=f"{name}-{what}")
    for name, signal in SIGNALS.items()
    for what, (query, version) in _asked(signal).items()
    if (name, what) != ("AirbagAccuracyDropped", "others")  # it looks an hour back
    if (name, what) != ("AirbagAccuracyDropped", "good")  # only the candidate has a difference, and it is bad
]
OF_THE_WORLD = [
    pytest.param(query, 3, id=name)
    for name, query in {
        "requests": world.REQUESTS, "requests then": world.REQUESTS_THEN, "inputs": world.INPUTS,
        "answered": prove.ANSWERED.replace("$range", "15"), "standing": prove.STANDING,
    }.items()
]  # fmt: skip


@pytest.mark.parametrize(("query", "version"), [*QUESTIONS, *OF_THE_WORLD])
def test_every_question_has_an_answer_from_the_shipped_rules(real: Prometheus, query: str, version: int) -> None:
    evidence = Evidence(real, SetClock(), "main", "digits", FAST)
    assert evidence.rows("it", query, version), evidence.readings


def test_an_accused_version_stands_at_one_and_one_that_does_well_at_nought(real: Prometheus) -> None:
    rows = real.vector(prove.STANDING.replace("$window", FAST.window))
    found = {(row.labels["model_name"], row.labels["model_version"]): row.value for row in rows}
    assert found == {("digits", "2"): 0, ("digits", "3"): 1, ("other", "2"): 0, ("other", "3"): 1}


@pytest.mark.parametrize("name", [name for name in SIGNALS if name != "AirbagAccuracyDropped"])
def test_the_fleet_has_one_answer_per_model_which_is_that_of_its_worst_version(real: Prometheus, name: str) -> None:
    rows = Evidence(real, SetClock(), "main", "digits", FAST).rows("all", SIGNALS[name].others, 3)
    assert rows is not None
    assert {row.labels["model_name"]: row.value for row in rows} == {"digits": 1, "other": 1}
