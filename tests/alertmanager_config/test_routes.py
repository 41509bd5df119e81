"""Who hears which alert, asked of amtool and of the shipped file."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes import shipped
from tests.fakes.binaries import ROOT, run
from tests.fakes.real_alertmanager import configuration

FILE = ROOT / "alertmanager" / "alertmanager.yml"
CONFIG: dict[str, Any] = yaml.safe_load(FILE.read_text())
RECEIVERS = {each["name"]: each for each in CONFIG["receivers"]}
CHANNELS = ["slack", "email", "pagerduty", "webhook"]
OUTCOMES = ["AirbagRollbackSucceeded", "AirbagRollbackSuppressed", "AirbagRollbackNeedsHuman", "AirbagRollbackFailed"]
SHIPPED = [{"alertname": rule["alert"], **rule["labels"]} for rule in shipped.rules() if "alert" in rule]


@cache
def _receivers(*labels: str) -> list[str]:
    said = run("amtool", "config", "routes", "test", f"--config.file={FILE}", *labels)
    return [line for line in said.splitlines() if not line.startswith("Warning")][-1].split(",")


def receivers(labels: dict[str, str]) -> list[str]:
    return _receivers(*(f"{name}={value}" for name, value in labels.items()))


def _route(receiver: str) -> dict[str, Any]:
    [found] = [each for each in CONFIG["route"]["routes"] if each["receiver"] == receiver]
    return dict(found)


def test_amtool_accepts_it_with_its_templates(tmp_path: Path) -> None:
    said = run("amtool", "check-config", configuration(tmp_path, {}))
    assert re.search(r"1 templates\s+SUCCESS", said)


@pytest.mark.parametrize("labels", SHIPPED, ids=lambda each: f"{each['alertname']}-{each['severity']}")
def test_an_alert_reaches_people_by_severity_and_the_machine_only_where_it_may_act(labels: dict[str, str]) -> None:
    machine = ["airbag"] if labels.get("airbag_action") == "rollback" else []
    people = ["airbag-watchdog", "nobody"] if labels["alertname"] == "AirbagWatchdog" else [
        f"people-{labels['severity']}"
    ]  # fmt: skip
    assert receivers(labels) == machine + people


def test_a_drill_s_own_alert_reaches_the_machine_and_no_person() -> None:
    drill = {"alertname": "AirbagDrill", "severity": "info", "airbag_action": "rollback", "serving": "main"}
    assert receivers(drill) == ["airbag", "airbag-drills"]


@pytest.mark.parametrize("severity", ["critical", "info"])
@pytest.mark.parametrize("name", OUTCOMES)
def test_an_outcome_goes_to_people_at_once_and_never_back_to_the_machine(name: str, severity: str) -> None:
    assert receivers({"alertname": name, "severity": severity, "serving": "main"}) == ["people-outcomes"]


def test_every_outcome_is_told_by_itself_and_those_that_need_a_person_can_go_another_way() -> None:
    critical, rest = (each for each in CONFIG["route"]["routes"] if each["receiver"] == "people-outcomes")
    assert critical["matchers"] == [*rest["matchers"], 'severity="critical"']
    for route in (critical, rest):
        assert route["group_by"] == ["alertname", "serving", "model_name", "model_version", "action_id"]
        assert (route["group_wait"], route["group_interval"]) == ("0s", "5s")


@pytest.mark.parametrize("labels", [{}, {"severity": "loud"}], ids=["none", "unknown"])
def test_an_alert_of_no_known_severity_is_not_lost(labels: dict[str, str]) -> None:
    assert receivers({"alertname": "Another", **labels}) == ["people-warning"]
    machine = {"alertname": "AirbagErrorRatioHigh", "airbag_action": "rollback", **labels}
    assert receivers(machine) == ["airbag", "people-warning"]


def test_the_receiver_s_word_that_the_path_is_broken_goes_to_people_alone() -> None:
    assert receivers({"alertname": "AirbagAlertPathBroken", "severity": "critical"}) == ["people-critical"]


def test_the_machine_hears_of_each_version_by_itself_and_at_once() -> None:
    route = _route("airbag")
    assert route["group_by"] == ["alertname", "serving", "model_name", "model_version"]
    assert (route["group_wait"], route["group_interval"], route["repeat_interval"]) == ("0s", "1s", "1m")


def test_the_machine_s_message_is_authenticated_whole_and_never_redirected() -> None:
    [webhook] = RECEIVERS["airbag"]["webhook_configs"]
    assert webhook == {
        "url": "http://receiver:9815/v1/alerts",
        "send_resolved": True,
        "max_alerts": 0,
        "http_config": {
            "authorization": {"type": "Bearer", "credentials_file": "/run/secrets/airbag_webhook_token"},
            "follow_redirects": False,
        },
    }


def test_the_watchdog_goes_the_machine_s_way_and_only_its_coming_counts() -> None:
    [machine], [watchdog] = (RECEIVERS[name]["webhook_configs"] for name in ("airbag", "airbag-watchdog"))
    assert watchdog == machine | {"send_resolved": False}


def test_the_watchdog_is_heard_twice_a_minute_here_and_once_a_minute_outside() -> None:
    """Each repeat is a little shorter than a multiple of its interval, else it would miss that one."""
    timing = ("group_by", "group_wait", "group_interval", "repeat_interval")
    assert [_route("airbag-watchdog")[key] for key in timing] == [["alertname"], "0s", "10s", "25s"]
    assert [_route("nobody")[key] for key in timing] == [["alertname"], "0s", "30s", "55s"]


def test_a_page_is_never_lost_in_an_incident_about_another_fault() -> None:
    assert _route("people-critical")["group_by"] == ["alertname", "serving", "model_name"]


def test_news_wait_for_office_hours_and_nothing_else_does() -> None:
    muted = [each for each in CONFIG["route"]["routes"] if set(each) & {"active_time_intervals", "mute_time_intervals"}]
    assert [(each["receiver"], each["active_time_intervals"]) for each in muted] == [("people-info", ["office-hours"])]
    assert CONFIG["time_intervals"] == [
        {
            "name": "office-hours",
            "time_intervals": [
                {
                    "weekdays": ["monday:friday"],
                    "times": [{"start_time": "08:00", "end_time": "18:00"}],
                    "location": "UTC",
                }
            ],
        }
    ]


def test_a_chat_gets_one_message_a_model() -> None:
    assert {key: value for key, value in CONFIG["route"].items() if key != "routes"} == {
        "receiver": "people-warning", "group_by": ["serving", "model_name"], "group_wait": "5s", "group_interval": "1m",
        "repeat_interval": "4h",
    }  # fmt: skip
    assert "group_by" not in _route("people-warning")
    assert "group_by" not in _route("people-info")


def test_an_alert_is_repeated_the_less_the_less_it_matters() -> None:
    repeats = {
        name: _route(name).get("repeat_interval") for name in ("people-critical", "people-warning", "people-info")
    }
    assert CONFIG["route"]["repeat_interval"] == "4h"
    assert repeats == {"people-critical": None, "people-warning": "12h", "people-info": "1d"}


@pytest.mark.parametrize("channel", ["people", *CHANNELS])
def test_a_channel_tells_outcomes_as_everything_else_but_not_that_they_end(channel: str) -> None:
    both = [RECEIVERS[channel if channel != "people" else "people-critical"], RECEIVERS[f"{channel}-outcomes"]]
    [[first], [outcomes]] = (value for each in both for key, value in each.items() if key != "name")
    assert first["send_resolved"] is True
    assert outcomes == first | {"send_resolved": False}


def test_people_s_stand_ins_are_the_same_inbox() -> None:
    for name in ("people-critical", "people-warning", "people-info"):
        assert RECEIVERS[name]["webhook_configs"] == [{"url": "http://people:9820/", "send_resolved": True}]


def test_no_secret_stands_in_the_file() -> None:
    """Every channel names a file for its secret, and the files lie where containers get theirs."""
    secrets = dict(re.findall(r"(\w+_file): (\S+?)\}?\n", FILE.read_text()))
    assert secrets == {
        "api_url_file": "/run/secrets/channels/slack_url",
        "auth_password_file": "/run/secrets/channels/smtp_password",
        "routing_key_file": "/run/secrets/channels/pagerduty_key",
        "credentials_file": "/run/secrets/channels/people_webhook_token",
    }
    assert not re.search(r"\b(api_url|auth_password|routing_key|service_key|credentials|password):", FILE.read_text())


def test_mail_is_never_sent_in_the_clear() -> None:
    assert RECEIVERS["email"]["email_configs"][0]["require_tls"] is True


def test_the_page_about_channels_names_each_with_its_secret_and_every_route_of_people() -> None:
    page = (ROOT / "docs" / "alert-channels.md").read_text()
    files = dict(re.findall(r"(?m)^ +\| `(\w+)` \| `(\w+)`", page))
    assert files == {
        channel: re.findall(r"/run/secrets/channels/(\w+)", json.dumps(RECEIVERS[channel]))[0] for channel in CHANNELS
    }
    told = {name for name in re.findall(r"(?m)^ +\| `([a-z-]+)`", page) if name.startswith(("people", "nobody"))}
    assert told == {each["receiver"] for each in CONFIG["route"]["routes"] if not each["receiver"].startswith("airbag")}
