"""The real Alertmanager in front of the real receiver, with the shipped routes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from airbag.config import replace_tokens
from tests.fakes import shipped
from tests.fakes.alertmanager_api import alert
from tests.fakes.binaries import ROOT, find
from tests.fakes.ports import free_port
from tests.fakes.rollback import TOKEN, Surroundings, process
from tests.fakes.wait import until

LASTS = timedelta(seconds=5)
"""How long what the rule tells stays without being told again."""


@contextmanager
def alertmanager(folder: Path, port: int, receiver: int) -> Iterator[str]:
    """Alertmanager with the shipped configuration, whose webhook is the receiver's port."""
    folder.mkdir()
    (folder / "token").write_text(TOKEN)
    tokens = {
        "receiver:9815": f"127.0.0.1:{receiver}", "people:9820": "127.0.0.1:9",
        "/run/secrets/airbag_webhook_token": str(folder / "token"),
        "/etc/alertmanager": str(ROOT / "alertmanager"),
    }  # fmt: skip
    shipped = (ROOT / "alertmanager" / "alertmanager.yml").read_text()
    (folder / "alertmanager.yml").write_text(replace_tokens(shipped, tokens))
    command = [
        str(find("alertmanager")), f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder}",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: requests.get(f"{url}/-/ready", timeout=1).ok, timeout=20, what="Alertmanager")
        yield url
    finally:
        child.terminate()
        child.wait(20)


def test_an_alert_goes_through_the_real_alertmanager_and_the_outcome_comes_back(around: Surroundings) -> None:
    port = free_port()
    around.write_policy(soak_min="200ms", mode="observe", alertmanager_urls=f"[http://127.0.0.1:{port}]")
    with process(around) as receiver:
        until(lambda: receiver.sees(2), what="the ledger to see 2")
        around.release(2, 3)
        until(lambda: receiver.sees(3), what="the ledger to see 3")
        around.bad_release()
        with alertmanager(around.folder / "am", port, int(receiver.url.rpartition(":")[2])) as url:
            one = alert(starts_at=datetime.now(UTC))
            posted = {"labels": one["labels"], "annotations": one["annotations"], "startsAt": one["startsAt"]}
            requests.post(f"{url}/api/v2/alerts", json=[posted], timeout=5).raise_for_status()
            until(lambda: [each["reason"] for each in receiver.actions()] == ["mode_observe"], what="the decision")
            (action,) = receiver.actions()
            assert abs(action["alert_at"] - datetime.fromisoformat(one["startsAt"]).timestamp()) < 0.01

            def told() -> list[str]:
                alerts = requests.get(f"{url}/api/v2/alerts", timeout=5).json()
                return [each["labels"]["alertname"] for each in alerts if "action_id" in each["labels"]]

            until(lambda: told() == ["AirbagRollbackSuppressed"], what="the outcome at Alertmanager")
    assert around.serving.reloads == 0


def test_the_watchdog_comes_over_its_route_and_a_way_that_is_cut_is_one_alert_until_it_comes(
    around: Surroundings,
) -> None:
    port = free_port()
    around.write_policy(watchdog_within="8s", alertmanager_urls=f"[http://127.0.0.1:{port}]")
    with (
        process(around) as receiver,
        alertmanager(around.folder / "am", port, int(receiver.url.rpartition(":")[2])) as url,
    ):

        def known(name: str) -> list[dict[str, Any]]:
            alerts: list[dict[str, Any]] = requests.get(f"{url}/api/v2/alerts", timeout=5).json()
            return [each for each in alerts if each["labels"]["alertname"] == name]

        def posted(name: str, **labels: str) -> None:
            began = {"startsAt": datetime.now(UTC).isoformat(), "endsAt": (datetime.now(UTC) + LASTS).isoformat()}
            alert = {"labels": {"alertname": name, **labels}, "annotations": {"summary": "by the rule"}, **began}
            requests.post(f"{url}/api/v2/alerts", json=[alert], timeout=5).raise_for_status()

        until(lambda: known("AirbagAlertPathBroken"), timeout=40, what="the receiver's alert")
        posted("AirbagAlertPathBroken", **shipped.alerts()["AirbagAlertPathBroken"]["labels"])
        [broken] = known("AirbagAlertPathBroken")
        assert broken["annotations"]["summary"] == "by the rule"
        posted("AirbagWatchdog", severity="info")
        until(lambda: heard(receiver.url), timeout=40, what="the watchdog at the receiver")
        until(lambda: not known("AirbagAlertPathBroken"), timeout=40, what="its end")
    assert around.serving.reloads == 0


def heard(url: str) -> bool:
    """Whether a watchdog has come."""
    page = requests.get(f"{url}/metrics", timeout=5).text
    return 'airbag_rollback_alerts_total{result="watchdog"} 0.0' not in page
