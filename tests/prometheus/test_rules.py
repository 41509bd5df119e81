"""Alerts fire when they should, with every label and word, and stay silent beside it.

The cases are promtool's own unit tests in `rules/`, one file an alert: silent just before, firing, and the neighbours
that look alike.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.fakes import shipped
from tests.fakes.binaries import run

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


def test_rules_that_an_alert_rests_on_stand_before_it_in_its_group() -> None:
    """Groups run at unrelated moments, so a record of another group would be up to an interval old."""
    for file in shipped.RULES.glob("*.yml"):
        for group in yaml.safe_load(file.read_text())["groups"]:
            assert group["interval"] == "1s"
            recorded: set[str] = set()
            for rule in group["rules"]:
                used = {name for name in _records() if name in rule["expr"]}
                assert used <= recorded, f"{rule.get('record') or rule.get('alert')} uses {used - recorded} too early"
                recorded |= {rule.get("record", "")}


def _records() -> set[str]:
    return {rule["record"] for rule in shipped.rules() if "record" in rule}
