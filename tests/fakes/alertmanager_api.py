"""Both sides of Alertmanager that the receiver meets: its API for alerts, and the webhook message it sends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.fakes.http_server import serving_http


@dataclass(eq=False)
class FakeAlertmanager:
    """Keeps every alert that is posted; answers `status`."""

    status: int = 200
    alerts: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def names(self) -> list[str]:
        """The names of the alerts that were taken, in order."""
        return [alert["labels"]["alertname"] for alert in self.alerts]


def _handler(fake: FakeAlertmanager) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            alerts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = self.path == "/api/v2/alerts"
            status = fake.status if known else 404
            if status == 200:
                fake.alerts += alerts
            else:
                fake.refused += 1
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@contextmanager
def alertmanager() -> Iterator[FakeAlertmanager]:
    """A running fake on a free port."""
    fake = FakeAlertmanager()
    with serving_http(_handler(fake)) as fake.port:
        yield fake


def alert(
    version: object = 3,
    name: str = "AirbagErrorRatioHigh",
    *,
    status: str = "firing",
    serving: str = "main",
    model: str = "digits",
    starts_at: datetime | None = None,
    **labels: str | None,
) -> dict[str, Any]:
    """One alert of a webhook message; a label given as None is left out."""
    found = {
        "alertname": name, "severity": "critical", "airbag_action": "rollback", "serving": serving,
        "model_name": model, "model_version": str(version), **labels,
    }  # fmt: skip
    started = (starts_at or datetime.now(UTC)).isoformat().replace("+00:00", "Z")
    return {
        "status": status, "labels": {key: value for key, value in found.items() if value is not None},
        "annotations": {"summary": "s"}, "startsAt": started, "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph", "fingerprint": "c0ffee",
    }  # fmt: skip


def message(*alerts: dict[str, Any], **fields: object) -> dict[str, Any]:
    """A whole webhook message, as Alertmanager 0.25 sends it."""
    return {
        "version": "4", "groupKey": '{}/{airbag_action="rollback"}:{}', "truncatedAlerts": 0, "status": "firing",
        "receiver": "airbag", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093", "alerts": list(alerts), **fields,
    }  # fmt: skip
