"""What a real Alertmanager sends with the shipped configuration, and when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
import yaml

from airbag_demo.ports import free_ports
from airbag_demo.processes import Processes, Program
from tests.alertmanager_config.test_routes import examples
from tests.fakes import shipped
from tests.fakes.binaries import find
from tests.fakes.wait import until
from tests.fakes.webhooks import Webhooks, webhooks

VERSION = {"serving": "main", "model_name": "digits", "model_version": "3"}
BAD = {"alertname": "AirbagErrorRatioHigh", "airbag_action": "rollback", "severity": "critical", **VERSION}


@dataclass(frozen=True)
class Running:
    """An Alertmanager and everybody it talks to."""

    url: str
    sent: Webhooks

    def post(self, labels: dict[str, str]) -> None:
        """Let the alert fire."""
        began = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).isoformat()
        annotations = {"summary": "Sum.", "description": "What was seen.", "runbook_url": "a/runbook.md"}
        alert = {"labels": labels, "annotations": annotations, "startsAt": began}
        requests.post(f"{self.url}/api/v2/alerts", json=[alert], timeout=5).raise_for_status()


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The shipped configuration, and beside people's webhook the example for Slack."""
    folder = tmp_path_factory.mktemp("alertmanager")
    with webhooks() as sent, free_ports() as ports, Processes(folder) as processes:
        (folder / "token").write_text("s3cret")
        (folder / "slack").write_text(f"http://{sent.address}/slack")
        tokens = {
            "/etc/alertmanager": str(folder),
            "/run/secrets/airbag_webhook_token": str(folder / "token"),
            "receiver:9815": sent.address,
            "people:9820": sent.address,
        }
        config = shipped.copy("alertmanager", folder, tokens) / "alertmanager.yml"
        _add_slack(config, folder / "slack")
        url = f"http://127.0.0.1:{ports['alertmanager']}"
        command = [
            str(find("alertmanager")), f"--config.file={config}", f"--storage.path={folder / 'data'}",
            f"--web.listen-address={url.removeprefix('http://')}", "--cluster.listen-address=",
        ]  # fmt: skip
        processes.start(Program("alertmanager", command, lambda: requests.get(f"{url}/-/ready", timeout=1).ok))
        processes.wait_ready()
        yield Running(url, sent)


def _add_slack(config: Path, secret: Path) -> None:
    document = yaml.safe_load(config.read_text())
    [slack] = [example["slack_configs"] for example in examples() if "slack_configs" in example]
    slack[0]["api_url_file"] = str(secret)
    [people] = [each for each in document["receivers"] if each["name"] == "people-outcomes"]
    people["slack_configs"] = slack
    config.write_text(yaml.safe_dump(document))


def test_a_rollback_alert_reaches_the_machine_at_once_with_the_token_and_people_too(alertmanager: Running) -> None:
    sent, before = alertmanager.sent, time.monotonic()
    alertmanager.post(BAD)
    first = until(lambda: sent.alerts("/v1/alerts", "AirbagErrorRatioHigh"), what="the machine's message")[0]
    assert time.monotonic() - before < 2
    assert first.authorization == "Bearer s3cret"
    assert first.body["version"] == "4"
    assert first.body["groupLabels"] == {"alertname": "AirbagErrorRatioHigh", **VERSION}
    told = until(lambda: sent.alerts("/", "AirbagErrorRatioHigh"), what="people's message", timeout=15)[0]
    assert told.authorization is None


def test_another_version_is_not_kept_waiting_by_the_first_one_s_group(alertmanager: Running) -> None:
    alertmanager.post({**BAD, "alertname": "AirbagLatencyHigh"})
    until(lambda: alertmanager.sent.alerts("/v1/alerts", "AirbagLatencyHigh"), what="the first message")
    before = time.monotonic()
    alertmanager.post({**BAD, "alertname": "AirbagLatencyHigh", "model_version": "4"})
    until(lambda: len(alertmanager.sent.alerts("/v1/alerts", "AirbagLatencyHigh")) > 1, what="the second message")
    assert time.monotonic() - before < 2


def test_an_outcome_reaches_people_at_once_in_words_they_can_use(alertmanager: Running) -> None:
    alertmanager.post({"alertname": "AirbagWatchdog", "severity": "info"})
    alertmanager.post({"alertname": "AirbagRollbackFailed", "severity": "critical", "action_id": "7", **VERSION})
    sent = alertmanager.sent
    until(lambda: sent.alerts("/", "AirbagRollbackFailed"), what="the outcome", timeout=3)
    [slack] = until(lambda: [each for each in sent.posted if each.path == "/slack"], what="the message in Slack")
    [attachment] = slack.body["attachments"]
    assert attachment["title"] == "[FIRING] AirbagRollbackFailed: digits version 3 on main"
    assert attachment["text"] == (
        "AirbagRollbackFailed (firing, began 2026-01-02 03:04:05 UTC)\nWhat was seen.\nRunbook: a/runbook.md"
    )
    assert not sent.alerts("/v1/alerts", "AirbagRollbackFailed")
    assert not [path for path in ("/", "/v1/alerts") if sent.alerts(path, "AirbagWatchdog")]
