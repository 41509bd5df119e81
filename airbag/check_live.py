"""Asks the running Prometheus, Alertmanagers and receiver what they have loaded and whether they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from pydantic import ValidationError

from airbag.chain.documents import AlertmanagerFile, PrometheusFile
from airbag.chain.durations import parse
from airbag.chain.facts import Chain
from airbag.chain.finding import Finding
from airbag.chain.live_lint import Live, LiveRule, LiveTarget, live_lint
from airbag.chain.webhook_lint import machine_webhooks
from airbag.config import parse as parse_text
from airbag.errors import ConfigError
from airbag.http_config import HttpConfig
from airbag.http_session import new_session
from airbag.tls_words import tls_trouble

_TIMEOUT = 5.0
_START = "start it, or say with --address how to reach it from here"


@dataclass
class _Asking:
    """`addresses` says how to reach HOST:PORT from here; what did not answer becomes a finding."""

    addresses: Mapping[str, str]
    prometheus: requests.Session
    others: requests.Session
    findings: list[Finding] = field(default_factory=list)

    def json(self, url: str, path: str, session: requests.Session | None = None) -> Any:
        """The JSON behind a path, of Prometheus unless told otherwise; None, and a finding, when there is none."""
        try:
            answer = (session or self.prometheus).get(self._here(url.rstrip("/")) + path, timeout=_TIMEOUT)
            answer.raise_for_status()
            return answer.json()
        except (requests.RequestException, ValueError) as error:
            self.findings.append(Finding(url, path, f"does not answer: {_why(error)}", _START))
            return None

    def is_ready(self, url: str) -> None:
        """A finding unless the process behind a webhook is ready."""
        parts = urlsplit(self._here(url))
        address = urlunsplit((parts.scheme, parts.netloc, "/-/ready", "", ""))
        try:
            answer = self.others.get(address, timeout=_TIMEOUT, allow_redirects=False)
        except (requests.RequestException, ValueError) as error:
            self.findings.append(Finding(url, "/-/ready", f"the receiver does not answer: {_why(error)}", _START))
            return
        if answer.status_code != requests.codes.ok:
            what = f"the receiver is not ready: HTTP {answer.status_code}"
            self.findings.append(Finding(url, "/-/ready", what, "see its log"))

    def _here(self, url: str) -> str:
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=self.addresses.get(parts.netloc, parts.netloc)))


def ask(
    chain: Chain, addresses: Mapping[str, str], prometheus: HttpConfig | None = None, others: HttpConfig | None = None
) -> tuple[Chain, list[Finding]]:
    """The chain with what only a running Prometheus knows, and every difference from the files.

    `prometheus` says how to call it, `others` how to call Alertmanagers and the receiver.
    """
    if chain.policy is None:
        return chain, []
    asking = _Asking(addresses, new_session(prometheus), new_session(others))
    url = chain.policy.prometheus_url
    live = _prometheus(asking, url)
    loaded, settling = _alertmanagers(asking, chain.policy.alertmanager_urls)
    for webhook in sorted({each.url for _, each, _ in machine_webhooks(chain)}):
        asking.is_ready(webhook)
    live = replace(live, alertmanagers=loaded, settling=settling)
    delay = _resend_delay(asking, url) if live.prometheus is not None else None
    chain = replace(chain, resend_delay=delay) if delay is not None else chain
    return chain, [*asking.findings, *live_lint(chain, live)]


def _prometheus(asking: _Asking, url: str) -> Live:
    """Asks no further once it did not answer."""
    live = Live(prometheus_url=url)
    config = asking.json(url, "/api/v1/status/config")
    if config is None:
        return live
    try:
        text = config["data"]["yaml"]
        live = replace(live, prometheus=parse_text(text, PrometheusFile, source=url, base=Path()))
        groups = (asking.json(url, "/api/v1/rules") or {})["data"]["groups"]
        found = tuple(LiveRule.model_validate(rule) for group in groups for rule in group["rules"])
        live = replace(live, rules=found)
        active = (asking.json(url, "/api/v1/targets?state=active") or {})["data"]["activeTargets"]
        live = replace(live, targets=tuple(map(LiveTarget.model_validate, active)))
        told = (asking.json(url, "/api/v1/alertmanagers") or {})["data"]["activeAlertmanagers"]
        return replace(live, told=tuple(each["url"] for each in told))
    except (KeyError, TypeError, ValidationError, ConfigError) as error:
        asking.findings.append(Finding(url, "api", f"answers what Prometheus does not: {_why(error)}"))
        return live


def _resend_delay(asking: _Asking, url: str) -> float | None:
    try:
        return parse(asking.json(url, "/api/v1/status/flags")["data"]["rules.alert.resend-delay"])
    except (KeyError, TypeError, ValueError):
        return None


def _alertmanagers(asking: _Asking, urls: tuple[str, ...]) -> tuple[dict[str, AlertmanagerFile], tuple[str, ...]]:
    loaded: dict[str, AlertmanagerFile] = {}
    settling = []
    for url in urls:
        status = asking.json(url, "/api/v2/status", asking.others)
        if status is None:
            continue
        try:
            loaded[url] = parse_text(status["config"]["original"], AlertmanagerFile, source=url, base=Path())
            if status["cluster"]["status"] == "settling":
                settling.append(url)
        except (KeyError, TypeError, ConfigError) as error:
            asking.findings.append(Finding(url, "api", f"answers what Alertmanager does not: {_why(error)}"))
    return loaded, tuple(settling)


def _why(error: Exception) -> str:
    if said := tls_trouble(error):
        return said
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, requests.Timeout):
        return f"nothing in {_TIMEOUT:g} s"
    return str(error).partition("\n")[0] or type(error).__name__
