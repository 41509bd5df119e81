"""The longest time from a fault to an action, and which part of it is longest."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from airbag.chain.crossing import Look, seconds_to_cross
from airbag.chain.durations import parse, shown, ticks
from airbag.chain.facts import Judged
from airbag.chain.finding import Level
from airbag.chain.report import as_json, text
from airbag.chain.times import ways
from airbag.chain.times_lint import times_lint
from airbag.serving.groups import Expectations
from tests.airbag.chain.deployment import ALERTMANAGER, PROMETHEUS, Change, changed, findings, shipped, way

LOOK = Look(window=15, traffic=50)
ERRORS = Judged(share_max="error_ratio_max", samples_min="requests_min")


def test_a_total_failure_takes_every_term_once() -> None:
    found = way(shipped(), "AirbagErrorRatioHigh")
    terms = {each.name: each.seconds for each in found.terms}
    # In 5 s of 50 answers each second, 11.0 % are beyond 5 % by three standard errors.
    assert terms.pop("window") == pytest.approx(5 * 0.11, rel=0.02)
    assert terms == {"poll": 1, "scrape": 1, "evaluation": 1, "for": 2, "group_wait": 0, "decision": 0.5}
    assert found.seconds == pytest.approx(6.05, abs=0.01)
    assert found.dominant.name == "for"


def test_a_fault_of_one_in_five_is_seen_when_it_fills_half_of_the_burst() -> None:
    found = way(shipped(), "AirbagErrorRatioHigh", fault=0.2)
    assert found.dominant.name == "window"
    assert found.dominant.seconds == pytest.approx(5 * 0.11 / 0.2, rel=0.02)


def test_the_fast_lane_skips_scrape_evaluation_and_for() -> None:
    found = way(shipped(), "AirbagVersionLoadFailed", "fast lane", None)
    assert {each.name for each in found.terms} == {"exporter", "group_wait", "decision"}
    assert found.seconds < way(shipped(), "AirbagVersionLoadFailed", "rules", None).seconds


def test_a_longer_group_wait_counts_in_full_and_is_named() -> None:
    slow = changed(Change(ALERTMANAGER, "group_wait: 0s", "group_wait: 30s"))
    found = way(slow, "AirbagErrorRatioHigh")
    assert found.seconds == pytest.approx(way(shipped(), "AirbagErrorRatioHigh").seconds + 30)
    assert found.dominant.name == "group_wait"
    told = [str(each) for each in findings(slow)]
    assert any(
        "group_wait takes 30 s of it (change route.routes[0].group_wait in alertmanager" in each for each in told
    )


def test_the_scrape_interval_of_the_job_that_brings_the_numbers_counts() -> None:
    slow = changed(
        Change(PROMETHEUS, "- job_name: airbag-quality\n", "- job_name: airbag-quality\n    scrape_interval: 10s\n")
    )
    assert way(slow, "AirbagAccuracyLow").terms[0].seconds == 10
    assert way(slow, "AirbagErrorRatioHigh") == way(shipped(), "AirbagErrorRatioHigh")


def test_a_lost_message_costs_the_next_one_of_whoever_sent_it() -> None:
    found = way(shipped(), "AirbagErrorRatioHigh")
    assert found.lost_before == 5 + 1  # resend delay of 5 s, looked at once an evaluation
    assert found.lost_after == 60 + 1  # repeat_interval of 1 m, looked at once a group_interval
    later = way(replace(shipped(), resend_delay=60), "AirbagErrorRatioHigh")
    assert later.lost_before == 61


def test_a_second_fault_waits_for_group_interval_and_not_for_group_wait() -> None:
    found = way(shipped(), "AirbagErrorRatioHigh")
    assert found.again == found.seconds + 1


def test_a_fault_within_what_is_allowed_never_acts_and_is_no_problem() -> None:
    expect = Expectations(error_ratio_max=0.3)
    assert seconds_to_cross(ERRORS, expect, 1.0, LOOK) == pytest.approx(4.5, rel=0.01)
    assert math.isinf(seconds_to_cross(ERRORS, expect, 0.2, LOOK))


def test_little_traffic_waits_for_its_least_number_and_none_for_ever() -> None:
    assert seconds_to_cross(ERRORS, Expectations(), 1.0, Look(15, 2)) == 10
    assert math.isinf(seconds_to_cross(ERRORS, Expectations(), 1.0, Look(15, 1.3)))
    assert math.isinf(seconds_to_cross(ERRORS, Expectations(), 1.0, Look(15, 0)))


def test_a_threshold_with_doubt_is_crossed_later_and_a_model_without_one_has_no_such_way() -> None:
    expect = Expectations(accuracy_min=0.85)
    judged = Judged(share_min="accuracy_min", samples_min="labels_min")
    sure = seconds_to_cross(judged, expect, 1.0, LOOK)
    assert sure == pytest.approx(15 * 0.15, rel=0.02)
    assert seconds_to_cross(judged, expect, 1.0, Look(15, 50, errors=3)) > sure
    assert math.isinf(seconds_to_cross(judged, Expectations(), 1.0, LOOK))


def test_a_small_fault_that_waits_until_chance_is_ruled_out_is_no_problem() -> None:
    busy = replace(shipped(), traffic=100)
    found = way(busy, "AirbagAccuracyLow", fault=0.2)
    assert found.is_doubted
    assert not way(shipped(), "AirbagProbeFailed", "rules", None).is_doubted
    [told] = [each for each in times_lint(busy, [found]) if "takes up to" in each.what]
    assert (told.level, "chance has to be ruled out" in told.remedy) == (Level.NOTE, True)


def test_the_table_has_a_row_for_each_way_and_the_objective_beside_it() -> None:
    lines = list(text(shipped(), [], ways(shipped())))
    assert "profile fast, wanted within 15 s" in lines[0]
    assert sum("AirbagErrorRatioHigh" in line for line in lines) == 2
    assert lines[-1] == "no problem found"


def test_the_json_says_the_same_in_numbers() -> None:
    found = as_json(shipped(), [], ways(shipped()))
    assert (found["ok"], found["act_within"], found["profile"]) == (True, 15, "fast")
    [total] = [each for each in found["times"] if (each["alert"], each["bad_share"]) == ("AirbagErrorRatioHigh", 1.0)]
    assert total["seconds"] == pytest.approx(sum(total["terms"].values()))
    assert total["serves_again"] == pytest.approx(total["seconds"] + 1.2)
    assert total["lost_to_alertmanager"] == pytest.approx(total["seconds"] + 6)


@pytest.mark.parametrize(
    ("written", "seconds"), [("15s", 15), ("1h30m", 5400), ("500ms", 0.5), ("0", 0), (0, 0), ("1w", 604_800)],
    ids=range(6),
)  # fmt: skip
def test_durations_are_read_as_prometheus_reads_them(written: object, seconds: float) -> None:
    assert parse(written) == seconds


@pytest.mark.parametrize("written", ["", "15", "30m1h", "1.5s", "-1s", None, True, 15, [], "s"], ids=range(10))
def test_what_prometheus_would_refuse_is_no_duration(written: object) -> None:
    with pytest.raises(ValueError, match="not a duration of Prometheus"):
        parse(written)


def test_for_is_rounded_up_to_evaluations() -> None:
    assert [ticks(seconds, 5) for seconds in (0, 2, 5, 10, 11)] == [0, 5, 5, 10, 15]
    assert ticks(0.3, 0.1) == pytest.approx(0.3)
    assert shown(0.75) == "0.75 s"
    assert shown(14_400) == "4 h"
