"""Who hears which alert, asked of amtool and of the shipped file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes import shipped
from tests.fakes.binaries import ROOT, run

TEXT = (ROOT / "alertmanager" / "alertmanager.yml").read_text()
CONFIG: dict[str, Any] = yaml.safe_load(TEXT)
OUTCOMES = ["AirbagRollbackSucceeded", "AirbagRollbackSuppressed", "AirbagRollbackNeedsHuman", "AirbagRollbackFailed"]


def _local(tmp_path: Path) -> Path:
    tokens = {"/etc/alertmanager": str(tmp_path), "/run/secrets/airbag_webhook_token": str(tmp_path / "token")}
    return shipped.copy("alertmanager", tmp_path, tokens) / "alertmanager.yml"


def _receivers(labels: dict[str, str]) -> list[str]:
    given = [f"{name}={value}" for name, value in labels.items()]
    said = run("amtool", "config", "routes", "test", f"--config.file={ROOT / 'alertmanager/alertmanager.yml'}", *given)
    return [line for line in said.splitlines() if not line.startswith("Warning")][-1].split(",")


def test_amtool_accepts_it_with_its_templates(tmp_path: Path) -> None:
    said = run("amtool", "check-config", _local(tmp_path))
    assert re.search(r"1 templates\s+SUCCESS", said)


@pytest.mark.parametrize("name", sorted(shipped.alerts()))
def test_an_alert_reaches_people_and_the_machine_only_where_it_may_act(name: str) -> None:
    labels = {"alertname": name, **shipped.alerts()[name]["labels"]}
    expected = ["airbag", "people"] if labels.get("airbag_action") == "rollback" else ["people"]
    assert _receivers(labels) == (["nobody"] if name == "AirbagWatchdog" else expected)


@pytest.mark.parametrize("name", OUTCOMES)
def test_an_outcome_goes_to_people_at_once_and_never_back_to_the_machine(name: str) -> None:
    assert _receivers({"alertname": name, "severity": "critical", "serving": "main"}) == ["people-outcomes"]
    [route] = [each for each in CONFIG["route"]["routes"] if each["receiver"] == "people-outcomes"]
    assert route["group_wait"] == "0s"
    assert "action_id" in route["group_by"]


def test_the_machine_hears_of_each_version_by_itself_and_at_once() -> None:
    [route] = [each for each in CONFIG["route"]["routes"] if each["receiver"] == "airbag"]
    assert set(route["group_by"]) == {"alertname", "serving", "model_name", "model_version"}
    assert (route["group_wait"], route["group_interval"]) == ("0s", "1s")


def test_the_machine_s_message_is_authenticated_whole_and_never_redirected() -> None:
    [machine] = [each for each in CONFIG["receivers"] if each["name"] == "airbag"]
    [webhook] = machine["webhook_configs"]
    assert webhook["url"] == "http://receiver:9815/v1/alerts"
    assert webhook["max_alerts"] == 0
    assert webhook["send_resolved"] is True
    assert webhook["http_config"]["follow_redirects"] is False
    assert webhook["http_config"]["authorization"]["credentials_file"] == "/run/secrets/airbag_webhook_token"


def test_nothing_holds_back_an_alert_that_the_machine_may_answer() -> None:
    """A rollback alert has no `target`, and a label missing on one side only never counts as equal."""
    machine = {name for name, rule in shipped.alerts().items() if rule["labels"].get("airbag_action")}
    for rule in CONFIG["inhibit_rules"]:
        targets = {matcher.split("=")[1].strip('~"') for matcher in rule["target_matchers"]}
        assert not targets & machine
        assert "target" in rule["equal"]


def examples() -> list[dict[str, Any]]:
    """The receivers that stand in the file as comments."""
    commented = re.findall(r"(?m)^  # (.*)$", TEXT.partition("# To tell people elsewhere")[2])
    found: list[dict[str, Any]] = yaml.safe_load("\n".join(commented))
    return found


def test_the_examples_for_other_channels_are_accepted_and_keep_their_secrets_in_files(tmp_path: Path) -> None:
    config = _local(tmp_path)
    document = yaml.safe_load(config.read_text())
    document["receivers"] += examples()
    config.write_text(yaml.safe_dump(document))
    run("amtool", "check-config", config)
    assert {next(key for key in each if key != "name") for each in examples()} == {
        "slack_configs", "pagerduty_configs", "email_configs",
    }  # fmt: skip
    for each in examples():
        [[channel]] = [value for key, value in each.items() if key != "name"]
        assert any(key.endswith("_file") for key in channel)
