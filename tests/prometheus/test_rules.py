"""Alerts fire when they should, with every label and word, and stay silent beside it.

The cases are promtool's own unit tests in `rules/`, one file an alert: silent just before, firing, and the neighbours
that look alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from airbag.config import parse_duration
from tests.fakes import shipped
from tests.fakes.binaries import run

_RECORD = re.compile(r"\b(?:model|pipeline)\w*:airbag_\w+:\w+")
CASES = sorted((Path(__file__).parent / "rules").glob("*.yml"))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_alert_fires_with_its_full_text_and_its_neighbours_stay_silent(case: Path) -> None:
    assert "SUCCESS" in run("promtool", "test", "rules", case)


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    firing = {
        step["alertname"]
        for case in CASES
        for test in yaml.safe_load(case.read_text())["tests"]
        for step in test["alert_rule_test"]
        if step["exp_alerts"]
    }
    assert firing == set(shipped.alerts())


def test_every_alert_that_can_be_silent_has_a_case_in_which_it_is() -> None:
    silent = {
        step["alertname"]
        for case in CASES
        for test in yaml.safe_load(case.read_text())["tests"]
        for step in test["alert_rule_test"]
        if not step["exp_alerts"]
    }
    assert silent == set(shipped.alerts()) - {"AirbagWatchdog"}


def test_promtool_finds_nothing_to_complain_about() -> None:
    run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *sorted(shipped.RULES.glob("*.yml")))


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


def _groups() -> Iterator[dict[str, Any]]:
    for file in sorted(shipped.RULES.glob("*.yml")):
        yield from yaml.safe_load(file.read_text())["groups"]
