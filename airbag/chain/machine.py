"""What goes to the machine: which alerts, with which labels, by which webhooks."""

from __future__ import annotations

from collections.abc import Mapping

from airbag.chain.documents import AlertmanagerFile, Receiver, Webhook
from airbag.chain.facts import IDENTITY, Chain, Policy
from airbag.chain.routing import Delivery, reached


def is_machine(webhook: Webhook, policy: Policy) -> bool:
    """Whether it posts to a rollback receiver: by its path, or by the very address that was given."""
    address = webhook.url.rstrip("/")
    if policy.url is not None and address == policy.url.rstrip("/"):
        return True
    return address.endswith(policy.webhook_path)


def machine_labels(chain: Chain) -> list[dict[str, str]]:
    """The label sets of alerts that the receiver answers, one for each alert and model."""
    policy, prometheus = chain.policy, chain.prometheus
    if policy is None:
        return []
    names = {name: dict(each.rule.labels) for name, each in chain.machine_alerts().items()}
    known = names or {name: {"airbag_action": action} for name in policy.judged for action in policy.actions}
    external = dict(prometheus.global_.external_labels) if prometheus else {}
    return [
        {**external, **labels, "alertname": name, **subject}
        for name, labels in known.items()
        for subject in subjects(chain)
    ]


def subjects(chain: Chain) -> list[dict[str, str]]:
    """A version of every model that is listed."""
    groups = chain.servings.servings if chain.servings else ()
    found = [(group.name, model.name) for group in groups for model in group.models] or [("serving", "model")]
    return [dict(zip(IDENTITY, (*names, "1"), strict=True)) for names in found]


def deliveries(config: AlertmanagerFile, labels: Mapping[str, str]) -> list[tuple[Delivery, Receiver | None]]:
    """Every delivery of an alert and who gets it, None when that is nobody defined."""
    by_name = {each.name: each for each in config.receivers}
    return [(each, by_name.get(each.receiver)) for each in reached(config.route, labels)]


def machine_deliveries(
    config: AlertmanagerFile, labels: Mapping[str, str], policy: Policy
) -> list[tuple[Delivery, Receiver, Webhook]]:
    """Those of its deliveries that go to the receiver's webhook."""
    return [
        (delivery, receiver, webhook)
        for delivery, receiver in deliveries(config, labels)
        if receiver is not None
        for webhook in receiver.webhook_configs
        if is_machine(webhook, policy)
    ]
