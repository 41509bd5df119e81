"""Slack's incoming webhook and PagerDuty's events API (version 2): both refuse what the real ones refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.fakes.http_server import serving_http

SLACK = "/services/T0/B0/secret"
PAGERDUTY = "/v2/enqueue"
_SUMMARY_MAX = 1024
_EVENT_BYTES_MAX = 512_000
_SEVERITIES = {"critical", "error", "warning", "info"}


@dataclass
class Taken:
    """The servers' address and what they accepted or refused."""

    address: str = ""
    slack: list[Any] = field(default_factory=list)
    pagerduty: list[Any] = field(default_factory=list)
    refused: list[tuple[str, bytes]] = field(default_factory=list)


def _slack_says(body: bytes) -> tuple[int, str]:
    message = json.loads(body)
    if not (message.get("text") or message.get("attachments")):
        return 400, "no_text"
    return 200, "ok"


def _pagerduty_says(body: bytes) -> tuple[int, str]:
    event = json.loads(body)
    payload = event.get("payload", {})
    wrong = [
        *(["routing_key"] if len(event.get("routing_key", "")) != 32 else []),
        *(["event_action"] if event.get("event_action") not in {"trigger", "acknowledge", "resolve"} else []),
        *(["summary"] if not 0 < len(payload.get("summary", "")) <= _SUMMARY_MAX else []),
        *(["source"] if not payload.get("source") else []),
        *(["severity"] if payload.get("severity") not in _SEVERITIES else []),
        *(["size"] if len(body) > _EVENT_BYTES_MAX else []),
    ]
    if wrong:
        return 400, json.dumps({"status": "invalid event", "message": "Event object is invalid", "errors": wrong})
    return 202, json.dumps({"status": "success", "message": "Event processed", "dedup_key": event.get("dedup_key")})


@contextmanager
def chat_and_pager() -> Iterator[Taken]:
    """Run both on one free port until the block ends."""
    taken = Taken()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            code, answer = {SLACK: _slack_says, PAGERDUTY: _pagerduty_says}[self.path](body)
            if code >= 300:
                taken.refused.append((self.path, body))
            else:
                (taken.slack if self.path == SLACK else taken.pagerduty).append(json.loads(body))
            self.send_response(code)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with serving_http(Handler) as port:
        taken.address = f"127.0.0.1:{port}"
        yield taken
