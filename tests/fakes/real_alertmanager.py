"""The real Alertmanager with the shipped configuration: only addresses, secrets and chosen words are a test's own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from airbag_demo.processes import Program
from tests.fakes import shipped
from tests.fakes.binaries import Release, find
from tests.fakes.ports import free_port

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ENDED = datetime(2026, 1, 2, 3, 14, 5, tzinfo=UTC)
NOTES = {
    "summary": "A model version answers too many requests with an error.",
    "description": "20 % of the requests failed; allowed are 5 %.",
    "runbook_url": "prometheus/runbooks/AirbagErrorRatioHigh.md",
    "dashboard_url": "http://127.0.0.1:9090/graph?g0.expr=a&g0.tab=0",
}
VERSION = {"serving": "main", "model_name": "digits", "model_version": "3"}
BAD = {"alertname": "AirbagErrorRatioHigh", "airbag_action": "rollback", "severity": "critical", **VERSION}


def firing(labels: Mapping[str, str], notes: Mapping[str, str] = NOTES, began: datetime = BEGAN) -> dict[str, Any]:
    """The alert as Prometheus posts it while it fires."""
    return {"labels": dict(labels), "annotations": dict(notes), "startsAt": began.isoformat()}


def resolved(labels: Mapping[str, str], notes: Mapping[str, str] = NOTES) -> dict[str, Any]:
    """The same alert ten minutes later."""
    return firing(labels, notes) | {"endsAt": ENDED.isoformat()}


@dataclass(frozen=True)
class Alertmanager:
    """One process: how to start it and how to speak to it."""

    program: Program
    url: str

    def post(self, *alerts: dict[str, Any]) -> None:
        """Hand it alerts, all in one request."""
        requests.post(f"{self.url}/api/v2/alerts", json=alerts, timeout=5).raise_for_status()

    def get(self, path: str) -> Any:
        """What its API says there."""
        answer = requests.get(f"{self.url}/api/v2/{path}", timeout=5)
        answer.raise_for_status()
        return answer.json()

    def metric(self, sample: str) -> float:
        """The value of the sample that begins so; 0 when there is none."""
        page = requests.get(f"{self.url}/metrics", timeout=5).text
        return sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(sample))


def configuration(folder: Path, tokens: Mapping[str, str], receivers: Mapping[str, str] | None = None) -> Path:
    """A copy of the shipped file in which `tokens` are replaced, and on routes the `receivers`' names."""
    secret = folder / "airbag_webhook_token"
    secret.write_text("s3cret")
    local = {"/etc/alertmanager": str(folder), f"/run/secrets/{secret.name}": str(secret), **tokens}
    config = shipped.copied("alertmanager", folder, local) / "alertmanager.yml"
    text = config.read_text()
    for name, other in (receivers or {}).items():
        text, count = re.subn(rf"(?m)- receiver: {name}$", f"- receiver: {other}", text)
        assert count, f"no route names {name}"
    config.write_text(text)
    return config


def alertmanager(
    config: Path,
    *,
    name: str = "alertmanager",
    flags: Sequence[str] = ("--cluster.listen-address=",),
    release: Release = "system",
) -> Alertmanager:
    """An Alertmanager for that configuration, not yet started; alone unless `flags` say otherwise."""
    address = f"127.0.0.1:{free_port()}"
    url = f"http://{address}"
    command = [
        str(find("alertmanager", release)), f"--config.file={config}",
        f"--storage.path={config.parent / f'{name}-data'}", f"--web.listen-address={address}",
        "--web.external-url=http://alertmanager.example.com", "--web.route-prefix=/", *flags,
    ]  # fmt: skip
    return Alertmanager(Program(name, command, lambda: requests.get(f"{url}/-/ready", timeout=1).ok), url)
