"""The receiver's questions, asked of the real PromQL engine through promtool, and their names against the rules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from airbag.rules import PROFILES
from airbag_rollback.signals import SIGNALS, fill
from tests.fakes import binaries, shipped

FAST = PROFILES["fast"]
MODEL = '{serving="main",model_name="digits"}'
THREE = '{serving="main",model_name="digits",model_version="3"}'
AT_TARGET = '{serving="main",target="one",model_name="digits",model_version="3"}'

SERIES = {
    f"model_version:airbag_tfs_errors_per_request:ratio15s{THREE}": "0.4x20 0.2x20",
    f"model_version:airbag_tfs_errors_per_request:lower_bound15s{THREE}": "0.3x20 0.1x20",
    f"model_version:airbag_tfs_errors_per_request:lower_bound5s{THREE}": "0.3x20 0.15x20",
    f"model_version:airbag_tfs_requests:increase5s{THREE}": "30x40",
    f"model_version:airbag_tfs_requests:increase15s{THREE}": "100x20 90x20",
    f"model_version:airbag_tfs_slow_per_answer:ratio15s{THREE}": "0.3x40",
    f"model_version:airbag_tfs_slow_per_answer:lower_bound15s{THREE}": "0.2x40",
    f"model_version:airbag_tfs_slow_per_answer:lower_bound5s{THREE}": "1x40",
    f"model_version:airbag_tfs_answers:increase5s{THREE}": "19x40",
    f"model_version:airbag_tfs_answers:increase15s{THREE}": "60x40",
    f"model_version:airbag_quality_accuracy:ratio15s{THREE}": "0.5x40",
    f"model_version:airbag_quality_accuracy:upper_bound15s{THREE}": "0.8x40",
    f"model_version:airbag_quality_labelled:increase15s{THREE}": "70x40",
    'airbag_tfs_error_ratio_max{serving="main",model_name="digits",instance="a"}': "0.05x40",
    'airbag_tfs_error_ratio_max{serving="main",model_name="digits",instance="b"}': "0.06x40",
    f"airbag_tfs_slow_ratio_max{MODEL}": "0.05x40",
    f"airbag_tfs_requests_min{MODEL}": "20x40",
    f"airbag_quality_accuracy_min{MODEL}": "0.85x40",
    f"airbag_quality_labels_min{MODEL}": "50x40",
    'airbag_tfs_up{serving="main",target="one"}': "1x40",
    'airbag_tfs_last_poll_timestamp_seconds{serving="main",target="one"}': "38x40",
}
FAILING = {
    f'airbag_tfs_model_version_error{AT_TARGET[:-1]},code="NOT_FOUND"}}': "1x40",
    f"airbag_tfs_model_version_wanted{AT_TARGET}": "1x40",
}


def asked(tmp_path: Path, series: dict[str, str], expected: dict[str, float | None]) -> None:
    """Promtool gives each query at 40 s exactly that number, or nothing for None."""
    tests = [
        {"expr": query, "eval_time": "40s", "exp_samples": [] if value is None else [{"labels": "{}", "value": value}]}
        for query, value in expected.items()
    ]
    document = {
        "rule_files": [], "evaluation_interval": "1s",
        "tests": [
            {
                "interval": "1s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": tests,
            }
        ],
    }  # fmt: skip
    file = tmp_path / "signals.yml"
    file.write_text(yaml.safe_dump(document))
    binaries.run("promtool", "test", "rules", file)


def plain(query: str) -> str:
    """The query about version 3 without the labels of its answer, which the receiver does not read."""
    return f"sum({fill(query, 'main', 'digits', 3, FAST)})"


def test_the_traffic_signals_read_their_records_and_thresholds(tmp_path: Path) -> None:
    errors, slow, accuracy = (
        SIGNALS[name] for name in ("AirbagErrorRatioHigh", "AirbagLatencyHigh", "AirbagAccuracyLow")
    )
    asked(
        tmp_path,
        SERIES,
        {
            plain(errors.value): 0.15, plain(errors.samples): 90, plain(errors.threshold): 0.06,
            plain(errors.samples_min): 20, plain(errors.age): 0, plain(errors.history_samples): 100,
            f"round({plain(errors.history)}, 0.001)": 0.302,
            plain(slow.value): 0.2, plain(slow.threshold): 0.05, plain(slow.samples): 60,
            plain(accuracy.value): 0.8, plain(accuracy.threshold): 0.85, plain(accuracy.samples): 70,
            plain(accuracy.samples_min): 50, plain(accuracy.history): 0.5,
        },
    )  # fmt: skip


def test_the_worse_of_a_window_and_its_latest_part_is_judged_the_part_on_enough_answers(
    tmp_path: Path,
) -> None:
    value = plain(SIGNALS["AirbagErrorRatioHigh"].value)
    bound = "model_version:airbag_tfs_errors_per_request:lower_bound"
    least = {f"airbag_tfs_requests_min{MODEL}": "20x40"}
    whole, part = {f"{bound}15s{THREE}": "0.1x40"}, {f"{bound}5s{THREE}": "0.3x40"}
    enough, few = ({f"model_version:airbag_tfs_requests:increase5s{THREE}": f"{count}x40"} for count in (20, 19.9))
    better = {f"{bound}5s{THREE}": "0.05x40"}
    asked(tmp_path, whole | part | enough | least, {value: 0.3})
    asked(tmp_path, whole | part | few | least, {value: 0.1})
    asked(tmp_path, whole | better | enough | least, {value: 0.1})
    asked(tmp_path, part | enough | least, {value: 0.3})
    asked(tmp_path, enough | least, {value: None})


TWO = THREE.replace('"3"', '"2"')
DROPPED = {
    f"model_version:airbag_quality_release_accuracy:drop_lower_bound{THREE}": "0.1x20 0.3x20",
    f"model_version:airbag_quality_release_labelled:increase{THREE}": "0x5 60x35",
    f"model_version:airbag_quality_release_labelled:increase{TWO}": "900x30 800x10",
    'airbag_quality_accuracy_drop_max{serving="main",model_name="digits",instance="a"}': "0.02x40",
    'airbag_quality_accuracy_drop_max{serving="main",model_name="digits",instance="b"}': "0.05x40",
    f"airbag_quality_labels_min{MODEL}": "50x40",
}


def test_a_drop_is_the_suspects_own_and_the_most_patient_threshold_counts(tmp_path: Path) -> None:
    signal = SIGNALS["AirbagAccuracyDropped"]
    asked(
        tmp_path,
        DROPPED,
        {
            plain(signal.value): 0.3, plain(signal.threshold): 0.05, plain(signal.samples): 60,
            plain(signal.samples_min): 50, plain(signal.age): 0, plain(about_two(signal.value)): None,
        },
    )  # fmt: skip


def test_the_version_before_had_dropped_by_nothing_unless_it_was_a_candidate_itself(tmp_path: Path) -> None:
    signal = SIGNALS["AirbagAccuracyDropped"]
    history, samples = plain(about_two(signal.history)), plain(about_two(signal.history_samples))
    asked(tmp_path, DROPPED, {history: 0, samples: 900})
    own = {f"model_version:airbag_quality_release_accuracy:drop_lower_bound{TWO}": "0.25x40"}
    asked(tmp_path, DROPPED | own, {history: 0.25})
    asked(tmp_path, {}, {history: None, samples: None})


def test_after_a_drop_the_version_before_has_recovered_when_it_is_as_good_as_in_its_past_hour(tmp_path: Path) -> None:
    """The suspect answers no more then, so there is nobody to compare it with."""
    signal = SIGNALS["AirbagAccuracyDropped"]
    recovered, age = plain(about_two(signal.recovered)), plain(about_two(signal.age))
    now = DROPPED | {
        f"model_version:airbag_quality_accuracy:ratio15s{TWO}": "0.9x38 0.6x2",
        f"model_version:airbag_quality_accuracy:upper_bound15s{TWO}": "0.95x38 0.65x2",
        f"model_version:airbag_quality_labelled:sufficient15s{TWO}": "1x40",
    }
    asked(tmp_path, now, {f"round({recovered}, 0.001)": 0.235, age: 0})
    asked(tmp_path, now | {f"model_version:airbag_quality_labelled:sufficient15s{TWO}": "0x40"}, {recovered: None})


def about_two(query: str) -> str:
    """The query about version 2, whatever is asked afterwards."""
    return query.replace("$version", "2")


def test_a_failed_load_counts_only_while_the_version_is_wanted_and_the_server_is_seen(tmp_path: Path) -> None:
    signal = SIGNALS["AirbagVersionLoadFailed"]
    value, recovered = (fill(query, "main", "digits", 3, FAST) for query in (signal.value, signal.recovered))
    asked(tmp_path, SERIES | FAILING, {value: 1, recovered: 1, signal.threshold: 0, plain(signal.age): 2})
    unwanted = SERIES | FAILING | {f"airbag_tfs_model_version_wanted{AT_TARGET}": "0x40"}
    asked(tmp_path, unwanted, {value: 0, recovered: 0})
    unseen = unwanted | {'airbag_tfs_up{serving="main",target="one"}': "0x40"}
    asked(tmp_path, unseen, {value: None, recovered: None})


def _probe(name: str, success: str, last: str) -> dict[str, str]:
    """What the exporter shows of one golden request to version 3."""
    at = f'{AT_TARGET[:-1]},probe="{name}"}}'
    return {f"airbag_tfs_probe_success{at}": success, f"airbag_tfs_probe_last_timestamp_seconds{at}": last}


def test_golden_requests_are_as_old_as_their_youngest_wrong_answer_else_as_their_oldest_right_one(
    tmp_path: Path,
) -> None:
    signal = SIGNALS["AirbagProbeFailed"]
    value, age, history = (
        fill(query, "main", "digits", 3, FAST) for query in (signal.value, signal.age, signal.history)
    )
    asked(tmp_path, {}, {value: None, age: None})
    right = _probe("seven", "1x40", "36x40") | _probe("nine", "1x40", "30x40")
    asked(tmp_path, right, {value: 0, age: 10, history: 0})
    wrong = right | _probe("zero", "1x20 0x20", "39x40") | _probe("one", "0x40", "20x40")
    asked(tmp_path, wrong, {value: 2, age: 1, history: 2})


def test_what_golden_requests_said_last_is_their_history_also_when_the_version_has_left(tmp_path: Path) -> None:
    history = fill(SIGNALS["AirbagProbeFailed"].history, "main", "digits", 3, FAST)
    asked(tmp_path, _probe("seven", "0x10 1x10 stale", "9x20"), {history: 0})


def test_every_machine_alert_has_a_signal_and_every_record_it_reads_has_a_rule() -> None:
    machine = {name for name, rule in shipped.alerts().items() if rule["labels"].get("airbag_action") == "rollback"}
    assert set(SIGNALS) == machine
    records = {rule["record"] for rule in shipped.rules() if "record" in rule}
    asked = " ".join(f"{s.value} {s.samples} {s.history} {s.age}" for s in SIGNALS.values())
    queries = fill(asked, "main", "digits", 3, FAST)
    read = set(re.findall(r"model_version:[\w:]+", queries))
    assert read
    assert read <= records


@pytest.mark.parametrize("name", SIGNALS)
def test_a_question_names_the_model_and_the_version(name: str) -> None:
    query = fill(SIGNALS[name].value, "main", "digits", 3, FAST)
    assert 'serving="main"' in query
    assert 'model_version="3"' in query
    assert "$" not in query


def _alert(name: str, model: str, state: str = "firing") -> str:
    return f'ALERTS{{alertname="{name}",alertstate="{state}",serving="main",model_name="{model}",model_version="7"}}'


@pytest.mark.parametrize(
    ("name", "judged"),
    [
        ("AirbagErrorRatioHigh", "model_version:airbag_tfs_requests:increase15s{}"),
        ("AirbagLatencyHigh", "model_version:airbag_tfs_answers:increase15s{}"),
    ],
)
def test_the_fleet_is_what_the_rule_accuses_and_what_has_answers_enough_by_each_models_own_limit(
    tmp_path: Path, name: str, judged: str
) -> None:
    series = {
        _alert(name, "firing"): "1x40",
        _alert(name, "pending", "pending"): "1x40",
        _alert("Another", "b"): "1x40",
    }
    for model, samples in (("a", 20), ("b", 100), ("little", 19.9), ("firing", 100)):
        series[judged.replace("{}", f'{{serving="main",model_name="{model}",model_version="7"}}')] = f"{samples}x40"
    for model in ("a", "b", "little", "firing"):
        series[f'airbag_tfs_requests_min{{serving="main",model_name="{model}"}}'] = "20x40"
    others = fill(SIGNALS[name].others, "main", "digits", 3, FAST)
    asked(tmp_path, series, {f"count({others})": 4, f"sum({others})": 2})
    asked(tmp_path, {}, {f"count({others})": None})


def test_accuracy_of_the_fleet_counts_where_it_is_demanded_and_there_are_labels_enough(tmp_path: Path) -> None:
    series = {_alert("AirbagAccuracyLow", "bad"): "1x40"}
    for model, sufficient in (("bad", 1), ("good", 1), ("little", 0), ("free", 1)):
        at = f'{{serving="main",model_name="{model}",model_version="7"}}'
        series[f"model_version:airbag_quality_labelled:sufficient15s{at}"] = f"{sufficient}x40"
        if model != "free":
            series[f'airbag_quality_accuracy_min{{serving="main",model_name="{model}"}}'] = "0.8x40"
    others = fill(SIGNALS["AirbagAccuracyLow"].others, "main", "digits", 3, FAST)
    asked(tmp_path, series, {f"count({others})": 2, f"sum({others})": 1})


def test_a_drop_of_the_fleet_is_one_below_what_each_model_measured_an_hour_ago(tmp_path: Path) -> None:
    """An hour is too long for this file, so that five seconds stand for it."""
    series = {}
    for model, now, sufficient in (("a", 0.84, 1), ("b", 0.86, 1), ("c", 0.1, 0), ("new", 0.1, 1)):
        at = f'{{serving="main",model_name="{model}",model_version="7"}}'
        if model != "new":
            series[f"model_version:airbag_quality_release_accuracy:sufficient_ratio{at}"] = "0.9x40"
        series[f"model_version:airbag_quality_accuracy:upper_bound15s{at}"] = f"{now}x40"
        series[f"model_version:airbag_quality_labelled:sufficient15s{at}"] = f"{sufficient}x40"
        series[f'airbag_quality_accuracy_drop_max{{serving="main",model_name="{model}"}}'] = "0.05x40"
    others = fill(SIGNALS["AirbagAccuracyDropped"].others, "main", "digits", 3, FAST)
    assert "offset 1h" in others
    soon = others.replace("offset 1h", "offset 5s")
    asked(tmp_path, series, {f"count({soon})": 2, f"sum({soon})": 1})


def test_of_the_fleet_golden_requests_count_where_there_are_any(tmp_path: Path) -> None:
    series = {_alert("AirbagProbeFailed", "b"): "1x40"}
    for model in "ab":
        for probe in "xy":
            of = f'serving="main",model_name="{model}",model_version="1",probe="{probe}"'
            series[f"airbag_tfs_probe_success{{{of}}}"] = "1x40"
    others = fill(SIGNALS["AirbagProbeFailed"].others, "main", "digits", 3, FAST)
    asked(tmp_path, series, {f"count({others})": 2, f"sum({others})": 1})


def test_loads_of_the_fleet_count_on_servers_that_answer(tmp_path: Path) -> None:
    up = 'airbag_tfs_up{serving="main",target='
    series = {f'{up}"one"}}': "1x40", f'{up}"two"}}': "0x40", _alert("AirbagVersionLoadFailed", "a"): "1x40"}
    for model, target in (("a", "one"), ("b", "one"), ("c", "two")):
        series[f'airbag_tfs_available_versions{{serving="main",target="{target}",model_name="{model}"}}'] = "1x40"
    others = fill(SIGNALS["AirbagVersionLoadFailed"].others, "main", "digits", 3, FAST)
    asked(tmp_path, series, {f"count({others})": 2, f"sum({others})": 1})


def test_a_load_that_fails_on_one_of_several_servers_is_bad_although_others_loaded_it(tmp_path: Path) -> None:
    value = fill(SIGNALS["AirbagVersionLoadFailed"].value, "main", "digits", 3, FAST)
    series = SERIES | FAILING | {
        'airbag_tfs_up{serving="main",target="two"}': "1x40",
        f"airbag_tfs_model_version_wanted{AT_TARGET.replace('one', 'two')}": "1x40",
    }  # fmt: skip
    asked(tmp_path, series, {value: 1})


@pytest.mark.parametrize(
    ("name", "series", "allowed"),
    [
        (
            "AirbagErrorRatioHigh",
            {f"model_version:airbag_tfs_errors_per_request:ratio15s{THREE}": "0.05x19 0.051x20",
             f"model_version:airbag_tfs_requests:increase15s{THREE}": "20x9 19.9x20 20x10",
             f"airbag_tfs_requests_min{MODEL}": "20x40", f"airbag_tfs_error_ratio_max{MODEL}": "0.05x40"},
            10,
        ),
        (
            "AirbagLatencyHigh",
            {f"model_version:airbag_tfs_slow_per_answer:ratio15s{THREE}": "0.05x19 0.051x20",
             f"model_version:airbag_tfs_answers:increase15s{THREE}": "20x9 19.9x20 20x10",
             f"airbag_tfs_requests_min{MODEL}": "20x40", f"airbag_tfs_slow_ratio_max{MODEL}": "0.05x40"},
            10,
        ),
        (
            "AirbagAccuracyLow",
            {f"model_version:airbag_quality_accuracy:ratio15s{THREE}": "0.8x19 0.79x20",
             f"model_version:airbag_quality_labelled:sufficient15s{THREE}": "1x9 0x20 1x10",
             f"airbag_quality_accuracy_min{MODEL}": "0.8x40"},
            10,
        ),
        (
            "AirbagAccuracyDropped",
            {f"model:airbag_quality_release_accuracy:difference{MODEL}": "-0.02x9 -0.021x30",
             f"model_version:airbag_quality_version_role:candidate{THREE}": "1x40",
             f"airbag_quality_accuracy_drop_max{MODEL}": "0.02x40"},
            10,
        ),
        ("AirbagProbeFailed", {f'airbag_tfs_probe_success{AT_TARGET[:-1]},probe="x"}}': "1x9 0x30"}, 10),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_moments_are_good_up_to_the_limit_and_with_enough_samples(
    tmp_path: Path, name: str, series: dict[str, str], allowed: int
) -> None:
    good = fill(SIGNALS[name].good, "main", "digits", 3, FAST)
    asked(tmp_path, series, {f"sum(count_over_time(({good})[39s:1s]))": allowed - 1})


def test_a_stable_version_is_not_good_by_a_drop_that_is_anothers(tmp_path: Path) -> None:
    series = {
        f"model:airbag_quality_release_accuracy:difference{MODEL}": "0x40",
        f"model_version:airbag_quality_version_role:candidate{TWO}": "1x40",
        f"airbag_quality_accuracy_drop_max{MODEL}": "0.02x40",
    }
    asked(tmp_path, series, {f"count({fill(SIGNALS['AirbagAccuracyDropped'].good, 'main', 'digits', 3, FAST)})": None})
