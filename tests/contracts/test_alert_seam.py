"""What alerts carry is what the receiver, people and the runbooks need."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from airbag.rules import PROFILES
from airbag.serving.groups import load_servings
from airbag_rollback.engine.states import State
from airbag_rollback.outcomes import messages
from airbag_rollback.records import Action, Suspect
from airbag_rollback.signals import SIGNALS
from airbag_rollback.webhook import Alert, suspect
from tests.fakes import shipped
from tests.fakes.binaries import ROOT

ALERTS = shipped.alerts()
ROLLBACK = {name for name, rule in ALERTS.items() if rule["labels"].get("airbag_action") == "rollback"}
CASES = sorted((ROOT / "tests" / "prometheus" / "rules").glob("*.yml"))


def _outcomes() -> dict[str, dict[str, Any]]:
    begun = Action(
        id=1, key="k", serving="main", model_name="digits", bad_version=3, epoch=1, alertname="A",
        state=State.RECEIVED, rev=1, deadline=0.0, reason="cool_down",
    )  # fmt: skip
    drill = replace(begun, source="drill")
    alerts = [
        alert
        for action in (begun, drill)
        for state in State
        for alert in messages(action, replace(action, state=state), 0.0)
    ]
    return {alert["labels"]["alertname"]: alert for alert in alerts}


def _fired(name: str) -> dict[str, str]:
    """The labels with which the alert fires first in its promtool case."""
    labels, *_ = [
        alert["exp_labels"]
        for case in CASES
        for test in yaml.safe_load(case.read_text())["tests"]
        for step in test.get("alert_rule_test", [])
        if step["alertname"] == name
        for alert in step["exp_alerts"]
    ]
    return {"alertname": name, **labels}


def test_the_receiver_judges_exactly_the_alerts_that_ask_for_a_rollback() -> None:
    assert set(SIGNALS) == ROLLBACK


@pytest.mark.parametrize("name", sorted(ROLLBACK))
def test_a_rollback_alert_names_a_version_that_the_receiver_understands(name: str) -> None:
    servings = load_servings(ROOT / "exporters" / "exporters.yml")
    found = suspect(Alert(status="firing", labels=_fired(name)), servings)
    assert found == Suspect("main", "digits", 3, name, None)


def _id(rule: dict[str, Any]) -> str:
    return "-".join([rule["alert"], *map(str, rule["labels"].values())])


@pytest.mark.parametrize("rule", shipped.alert_rules(), ids=_id)
def test_an_alert_has_the_labels_and_texts_that_people_rely_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["labels"]) <= {"severity", "airbag_action", "long", "short"}
    assert not any("{{" in value for value in rule["labels"].values())
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url", "dashboard_url"}
    assert "{{" not in notes["summary"]
    assert all(text.endswith(".") for text in (notes["summary"], notes["description"]))
    assert notes["runbook_url"] == f"prometheus/runbooks/{rule['alert']}.md"
    assert notes["dashboard_url"].startswith("{{ $externalURL }}")


def test_a_machine_is_only_ever_asked_for_critical_alerts_with_a_delay() -> None:
    for name in ROLLBACK:
        assert ALERTS[name]["labels"] == {"severity": "critical", "airbag_action": "rollback"}
        assert ALERTS[name]["for"] == PROFILES["fast"].hold
        assert len([rule for rule in shipped.alert_rules() if rule["alert"] == name]) == 1


@pytest.mark.parametrize("name", ["AirbagErrorBudgetBurn", "AirbagLatencyBudgetBurn"])
def test_a_budget_has_its_four_windows_of_which_the_fast_ones_wake_a_person(name: str) -> None:
    steps = [
        (rule["labels"]["severity"], rule["labels"]["long"], rule["labels"]["short"], rule["for"])
        for rule in shipped.alert_rules()
        if rule["alert"] == name
    ]
    assert steps == [
        ("critical", "1h", "5m", "2m"),
        ("critical", "6h", "30m", "15m"),
        ("warning", "1d", "2h", "1h"),
        ("warning", "3d", "6h", "3h"),
    ]


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_rules_of_one_name_differ_in_a_label(name: str) -> None:
    """Otherwise two of them would be one alert, whose text changes."""
    labels = [rule["labels"] for rule in shipped.alert_rules() if rule["alert"] == name]
    assert len({tuple(sorted(each.items())) for each in labels}) == len(labels)


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    pages = {page.stem for page in shipped.RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == set(ALERTS) | set(_outcomes())


@pytest.mark.parametrize("page", sorted(shipped.RUNBOOKS.glob("Airbag*.md")), ids=lambda path: path.stem)
def test_a_runbook_says_what_it_means_what_airbag_does_what_to_check_and_how_to_stop_it(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {page.stem}\n")
    headings = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert headings[0] == "Meaning"
    assert headings[1] in {"What Airbag does", "What Airbag did"}
    assert headings[2:] == ["Check", "Stop it"]
    assert "```sh" in text


@pytest.mark.parametrize("name", sorted(_outcomes()))
def test_an_outcome_points_to_its_runbook(name: str) -> None:
    assert _outcomes()[name]["annotations"]["runbook_url"].endswith(f"prometheus/runbooks/{name}.md")
