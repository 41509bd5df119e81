"""The real Alertmanager in front of the real receiver, with the shipped routes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import requests

from airbag.config import replace_tokens
from tests.fakes.alertmanager_api import alert
from tests.fakes.binaries import ROOT, find
from tests.fakes.ports import free_port
from tests.fakes.rollback import TOKEN, Surroundings, process
from tests.fakes.wait import until


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
