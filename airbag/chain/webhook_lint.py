"""How Alertmanager calls the rollback receiver: where, with which credentials, and whether nothing is left out."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from airbag.chain import matchers
from airbag.chain.documents import HttpConfig, Webhook
from airbag.chain.facts import Chain
from airbag.chain.finding import Finding, note
from airbag.chain.machine import is_machine, machine_deliveries, machine_labels
from airbag.chain.prometheus_lint import host_port, targets


def machine_webhooks(chain: Chain) -> list[tuple[str, Webhook, HttpConfig]]:
    """The receiver's webhooks with their place in the file, and how each is called."""
    config, policy = chain.alertmanager, chain.policy
    if config is None or policy is None:
        return []
    return [
        (
            f"receivers[{at}] ({receiver.name}).webhook_configs[{number}]",
            each,
            each.http_config or config.global_.http_config,
        )
        for at, receiver in enumerate(config.receivers)
        for number, each in enumerate(receiver.webhook_configs)
        if is_machine(each, policy)
    ]


def webhook_lint(chain: Chain) -> Iterator[Finding]:
    """Every finding in the webhooks of the rollback receiver."""
    file, answering = chain.names.alertmanager, _answering(chain)
    for path, webhook, http in machine_webhooks(chain):
        yield from _address(chain, path, webhook)
        yield from _call(file, path, http)
        yield from _message(file, path, webhook, webhook in answering)


def _answering(chain: Chain) -> list[Webhook]:
    """The webhooks that rollback alerts reach; the others only hear that the way is open."""
    if chain.alertmanager is None or chain.policy is None:
        return []
    try:
        return [
            webhook
            for labels in machine_labels(chain)
            for _, _, webhook in machine_deliveries(chain.alertmanager, labels, chain.policy)
        ]
    except matchers.NotAMatcher:  # told by the lint of the routes
        return []


def _message(file: str, path: str, webhook: Webhook, is_answered: bool) -> Iterator[Finding]:
    if webhook.max_alerts > 0:
        what = f"is {webhook.max_alerts}: alerts beyond it are left out, firing ones too"
        yield Finding(file, f"{path}.max_alerts", what, "set `max_alerts: 0`")
    if is_answered and not webhook.send_resolved:
        what = "is false: an alert that comes back is not told before repeat_interval"
        yield Finding(file, f"{path}.send_resolved", what, "set `send_resolved: true`")


def _call(file: str, path: str, http: HttpConfig) -> Iterator[Finding]:
    if not http.is_authorized:
        what = "has no bearer token: the receiver refuses every message with 401"
        remedy = "set `authorization: {type: Bearer, credentials_file: ...}`"
        yield Finding(file, f"{path}.http_config.authorization", what, remedy)
    if http.follow_redirects:
        what = "is not false: Alertmanager follows a redirect as a GET without a body and takes the alert for delivered"
        yield Finding(file, f"{path}.http_config.follow_redirects", what, "set `follow_redirects: false`")


def _address(chain: Chain, path: str, webhook: Webhook) -> Iterator[Finding]:
    file, policy = chain.names.alertmanager, chain.policy
    assert policy is not None  # noqa: S101 - a webhook is only the machine's by the policy
    parts = urlsplit(webhook.url)
    if policy.url is not None and webhook.url.rstrip("/") != policy.url.rstrip("/"):
        what = f"is {webhook.url}, and the receiver is at {policy.url}"
        yield Finding(file, f"{path}.url", what, "use one address in both places")
    elif policy.url is None:
        scraped = _scraped(chain)
        if scraped and host_port(webhook.url) not in scraped:
            what = f"is {webhook.url}, and the receiver that Prometheus scrapes is {', '.join(sorted(scraped))}"
            yield Finding(
                file, f"{path}.url", what, "correct one of them, or say --receiver.url when it is behind a proxy"
            )
    if parts.scheme == "http" and not _is_local(parts.hostname or ""):
        what = f"sends the token to {parts.hostname} in clear"
        yield note(file, f"{path}.url", what, "use https where that is not a network of your own (--web.config.file)")


def _scraped(chain: Chain) -> set[str]:
    jobs = chain.prometheus.scrape_configs if chain.prometheus else ()
    name = chain.jobs.get("airbag_rollback_", "")
    return {target for job in jobs if job.job_name == name for target in targets(chain, job)}


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
