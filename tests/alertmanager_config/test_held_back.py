"""What Alertmanager holds back: consequences of another fault, and news outside office hours."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
import yaml

from tests.alertmanager_config.conftest import Channels, Running
from tests.alertmanager_config.test_routes import CONFIG
from tests.fakes.binaries import ROOT
from tests.fakes.real_alertmanager import BAD, VERSION, Alertmanager, firing
from tests.fakes.wait import until

CASES = ROOT / "tests" / "prometheus" / "rules"
PROCESS = {"serving": "main", "target": "tf-serving"}
MODEL = {"serving": "main", "model_name": "digits"}
CRITICAL, WARNING, INFO = ({"severity": each} for each in ("critical", "warning", "info"))
STORE = {"alertname": "AirbagModelStoreFull", "instance": "host:9812", "path": "/models"}
LATENCY = {"alertname": "AirbagLatencyHigh", **CRITICAL, "airbag_action": "rollback", **VERSION}
BURN = {"alertname": "AirbagErrorBudgetBurn", "long": "1h", "short": "5m", **CRITICAL, **MODEL}
SLOW_BURN = BURN | WARNING | {"long": "3d", "short": "6h"}
HELD = [
    # the cause, what it holds back, and the label by which another place differs
    ({"alertname": "AirbagServingDown", **CRITICAL, **PROCESS},
     {"alertname": "AirbagServingScrapePartFailed", **WARNING, **PROCESS, "part": "status"}, "target"),
    ({"alertname": "AirbagServingDown", **CRITICAL, **PROCESS},
     {"alertname": "AirbagNoVersionAvailable", **CRITICAL, **PROCESS, "model_name": "digits"}, "serving"),
    ({"alertname": "AirbagServingDown", **CRITICAL, **PROCESS},
     {"alertname": "AirbagLabelPointsNowhere", **CRITICAL, **PROCESS, "model_name": "digits"}, "target"),
    (BURN, SLOW_BURN, "model_name"),
    (BURN | {"alertname": "AirbagLatencyBudgetBurn"}, SLOW_BURN | {"alertname": "AirbagLatencyBudgetBurn"}, "serving"),
    (STORE | CRITICAL, STORE | WARNING, "path"),
    (LATENCY, {"alertname": "AirbagLatencyRegressed", **WARNING, **VERSION}, "model_version"),
    ({"alertname": "AirbagLabelsDelayed", **WARNING, **VERSION},
     {"alertname": "AirbagLabelsTooFew", **WARNING, **VERSION}, "model_version"),
    ({"alertname": "AirbagPipelineSyncDelayed", **WARNING, "pipeline": "orders"},
     {"alertname": "AirbagPipelineThroughputOff", **INFO, "pipeline": "orders"}, "pipeline"),
]  # fmt: skip


def inhibited(alertmanager: Alertmanager, labels: dict[str, str]) -> bool:
    """Whether that alert is held back; waits until Alertmanager has judged it."""

    def judged() -> dict[str, list[str]] | None:
        found = [each for each in alertmanager.get("alerts") if each["labels"] == labels]
        return dict(found[0]["status"]) if found and found[0]["status"]["state"] != "unprocessed" else None

    status: dict[str, list[str]] = until(judged, what=f"a judgement of {labels}")
    return bool(status["inhibitedBy"])


@pytest.mark.parametrize(
    ("cause", "held", "place"), HELD, ids=lambda each: each if isinstance(each, str) else each["alertname"]
)
def test_a_consequence_waits_for_its_cause_in_the_same_place_only(
    cause: dict[str, str], held: dict[str, str], place: str, running: Running
) -> None:
    elsewhere = held | {place: "another"}
    nowhere = {name: value for name, value in held.items() if name != place}
    bystander = held | {"alertname": "Another"}
    with running() as alertmanager:
        alertmanager.post(firing(held))
        assert not inhibited(alertmanager, held), "without its cause"
        alertmanager.post(firing(cause))
        assert not inhibited(alertmanager, cause)
        until(lambda: inhibited(alertmanager, held), what="the consequence to be held back")
        others = (elsewhere, nowhere, bystander)
        alertmanager.post(*(firing(each) for each in others))
        assert not [each for each in others if inhibited(alertmanager, each)]


def test_a_cause_that_lacks_a_label_does_not_hold_back_what_lacks_it_too(running: Running) -> None:
    """To Alertmanager a label that is missing on both sides is equal."""
    with running() as alertmanager:
        for cause, held, _ in HELD:
            rule = _rule_of(cause["alertname"])
            for label in rule["equal"]:
                if label == "alertname":
                    continue
                both = [{n: v for n, v in each.items() if n != label} | {"case": label} for each in (cause, held)]
                alertmanager.post(*(firing(each) for each in both))
                assert not inhibited(alertmanager, both[1]), f"{label} is missing on both sides"


@pytest.mark.parametrize("name", sorted({each["alertname"] for pair in HELD for each in pair[:2]}))
def test_what_is_compared_is_on_the_alerts_as_they_are_shipped(name: str) -> None:
    """Else a rule would hold back nothing, ever."""
    [compared] = {
        tuple(_rule_of(cause["alertname"])["equal"]) for cause, held, _ in HELD if name in _names(cause, held)
    }
    fired = [
        set(alert["exp_labels"]) | {"alertname"}
        for case in yaml.safe_load((CASES / f"{name}.yml").read_text())["tests"]
        for step in case.get("alert_rule_test", ())
        if step["alertname"] == name
        for alert in step.get("exp_alerts") or ()
    ]
    assert fired
    assert all(set(compared) <= labels for labels in fired)


def _names(*alerts: dict[str, str]) -> set[str]:
    return {each["alertname"] for each in alerts}


def _rule_of(alertname: str) -> dict[str, list[str]]:
    [found] = [
        rule for rule in CONFIG["inhibit_rules"]
        if re.fullmatch(rule["source_matchers"][0].partition('"')[2].rstrip('"'), alertname)
    ]  # fmt: skip
    return dict(found)


def test_nothing_holds_back_an_alert_that_the_machine_may_answer(running: Running) -> None:
    """Whatever it is called and whatever fires beside it: the receiver looks at the servers itself."""
    with running() as alertmanager:
        alertmanager.post(*(firing(cause) for cause, _, _ in HELD))
        machine = [held | {"airbag_action": "rollback", "machine": "yes"} for _, held, _ in HELD] + [BAD]
        alertmanager.post(*(firing(each) for each in machine))
        assert not [each["alertname"] for each in machine if inhibited(alertmanager, each)]


def test_only_news_wait_for_office_hours_and_are_told_when_the_office_opens(
    running: Running, channels: Channels, tmp_path: Path
) -> None:
    day = (datetime.now(UTC).weekday() + 3) % 7  # neither today nor tomorrow
    closed = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"][day]
    news = {"alertname": "AirbagServerRestarted", **INFO}
    warning = {"alertname": "AirbagHostMemoryHigh", **WARNING}
    outcome = {"alertname": "AirbagRollbackSucceeded", **INFO, "action_id": "9"}
    with running(None, **{"monday:friday": closed}) as alertmanager:
        alertmanager.post(firing(news), firing(warning), firing(outcome))
        until(lambda: channels.posted.alerts("/", warning["alertname"]), what="the warning")
        until(lambda: channels.posted.alerts("/", outcome["alertname"]), what="the outcome")
        alertmanager.post(firing(warning | {"target": "another"}))
        until(lambda: len(channels.posted.alerts("/", warning["alertname"])) > 1, what="a warning a flush later")
        assert not channels.posted.alerts("/", news["alertname"])
        config = tmp_path / "alertmanager.yml"
        config.write_text(config.read_text().replace(closed, "sunday:saturday"))
        requests.post(f"{alertmanager.url}/-/reload", timeout=5).raise_for_status()
        until(lambda: channels.posted.alerts("/", news["alertname"]), what="the news, now that the office is open")
