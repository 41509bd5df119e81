"""Alerts fire when they should, with every label and word, and stay silent beside it.

The cases are promtool's own unit tests in `rules/`, one file an alert: silent just before, firing, and the neighbours
that look alike. They run on the oldest and on the newest Prometheus that the rules are meant for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from airbag.config import parse_duration
from airbag.rules import RuleSettings
from tests.fakes import shipped
from tests.fakes.binaries import RELEASES, Release, run
from tests.prometheus.mutants import needed

_RECORD = re.compile(r"\b(?:model|pipeline)\w*:airbag_\w+:\w+")
CASES = sorted((Path(__file__).parent / "rules").glob("*.yml"))


def _id(rule: dict[str, Any]) -> str:
    return "-".join([rule["alert"], *map(str, rule["labels"].values())])


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_alert_fires_with_its_full_text_and_its_neighbours_stay_silent(
    case: Path, release: Release, tmp_path: Path
) -> None:
    """Without the rules that the case says nothing of: each costs an evaluation for every second of every case."""
    document = yaml.safe_load(case.read_text())
    named = {step["alertname"] for test in document["tests"] for step in test["alert_rule_test"]}
    asked = json.dumps([test.get("promql_expr_test") for test in document["tests"]])
    groups = needed(*(rule for rule in shipped.alert_rules() if rule["alert"] in named), asked=asked)
    held = {group["name"] for group in groups}
    order = [name for name in document.get("group_eval_order", []) if name in held]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": groups}))
    alone = document | {"rule_files": ["rules.yml"], "group_eval_order": order}
    (tmp_path / "case.yml").write_text(json.dumps(alone))
    assert "SUCCESS" in run("promtool", "test", "rules", tmp_path / "case.yml", release=release)


@pytest.mark.parametrize("rule", shipped.alert_rules(), ids=_id)
def test_every_alert_has_a_case_in_which_it_fires(rule: dict[str, Any]) -> None:
    """Of rules that share a name, each: their labels tell them apart."""
    fired = [
        alert["exp_labels"] for step in _steps() if step["alertname"] == rule["alert"] for alert in step["exp_alerts"]
    ]
    assert any(rule["labels"].items() <= labels.items() for labels in fired)


def test_every_case_is_about_an_alert() -> None:
    assert {case.stem for case in CASES} <= set(shipped.alerts())
    assert {step["alertname"] for step in _steps()} == set(shipped.alerts())


def test_every_alert_that_can_be_silent_has_a_case_in_which_it_is() -> None:
    silent = {step["alertname"] for step in _steps() if not step["exp_alerts"]}
    assert silent == set(shipped.alerts()) - {"AirbagWatchdog"}


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_a_case_says_in_which_order_groups_that_rest_on_each_other_run(case: Path) -> None:
    """Otherwise promtool takes any order, another one every time."""
    document = yaml.safe_load(case.read_text())
    files = [(case.parent / file).resolve() for file in document["rule_files"]]
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    where = {rule.get("record"): group["name"] for group in groups for rule in group["rules"]}
    order = document.get("group_eval_order", [])
    for group in groups:
        used = {where.get(name) for rule in group["rules"] for name in _RECORD.findall(rule["expr"])}
        for earlier in used - {None, group["name"]}:
            assert {earlier, group["name"]} <= set(order), f"{group['name']} uses records of {earlier}"
            assert order.index(earlier) < order.index(group["name"])


@pytest.mark.parametrize("release", RELEASES)
def test_promtool_finds_nothing_to_complain_about(release: Release) -> None:
    files = sorted(shipped.RULES.glob("*.yml"))
    run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *files, release=release)


@pytest.mark.parametrize("release", RELEASES)
def test_the_relaxed_profile_is_accepted_and_its_verdict_holds_at_its_pace(release: Release, tmp_path: Path) -> None:
    files = shipped.build_rules(RuleSettings(profile="relaxed"), tmp_path)
    run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *files, release=release)
    for case in (Path(__file__).parent / "relaxed").glob("*.yml"):
        copy = tmp_path / f"case_{case.name}"
        copy.write_text(case.read_text())
        assert "SUCCESS" in run("promtool", "test", "rules", copy, release=release)


def test_a_record_stands_before_what_uses_it_or_in_a_group_that_is_as_fast() -> None:
    """Groups run at unrelated moments, so a record of another group is up to that group's interval old."""
    every = {
        rule["record"]: parse_duration(group["interval"])
        for group in _groups()
        for rule in group["rules"]
        if "record" in rule
    }
    for group in _groups():
        recorded: set[str] = set()
        own = {rule.get("record", "") for rule in group["rules"]}
        for rule in group["rules"]:
            where = rule.get("record") or rule["alert"]
            for used in set(_RECORD.findall(rule["expr"])) - recorded:
                assert used not in own, f"{where} uses {used} too early"
                assert every[used] <= parse_duration(group["interval"]), f"{where} uses {used}, which is older"
            recorded.add(where)


def test_what_a_machine_acts_on_is_judged_every_second_and_by_one_group() -> None:
    for group in _groups():
        here = {rule.get("record", "") for rule in group["rules"]}
        for rule in group["rules"]:
            if rule.get("labels", {}).get("airbag_action") == "rollback":
                assert group["interval"] == "1s"
                assert set(_RECORD.findall(rule["expr"])) <= here


def _steps() -> Iterator[dict[str, Any]]:
    for case in CASES:
        for test in yaml.safe_load(case.read_text())["tests"]:
            yield from test.get("alert_rule_test", [])


def _groups() -> Iterator[dict[str, Any]]:
    for file in sorted(shipped.RULES.glob("*.yml")):
        yield from yaml.safe_load(file.read_text())["groups"]
