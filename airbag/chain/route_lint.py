"""Who hears which alert: the machine at once and alone with its version, and people too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airbag.chain import matchers
from airbag.chain.documents import AlertmanagerFile, InhibitRule, Receiver
from airbag.chain.durations import shown
from airbag.chain.facts import IDENTITY, Chain, Policy
from airbag.chain.finding import Finding, note
from airbag.chain.machine import deliveries, is_machine, machine_deliveries, machine_labels, subjects
from airbag.chain.routing import Delivery, every
from airbag.chain.rules_lint import ACTION

REPEAT_MAX = 300.0
REPEAT_MIN = 10.0
"""Seconds between two tellings of the same alert: above, what got lost is missed for long; below, the journal fills."""


def route_lint(chain: Chain) -> Iterator[Finding]:
    """Every finding in the routing tree and the inhibit rules."""
    if chain.alertmanager is None:
        return
    yield from _undefined(chain, chain.alertmanager)
    if chain.policy is None:
        return
    try:
        yield from _machine(chain, chain.alertmanager, chain.policy)
        yield from _people(chain, chain.alertmanager, chain.policy)
        yield from _watchdog(chain, chain.alertmanager, chain.policy)
        yield from _inhibited(chain, chain.alertmanager)
    except matchers.NotAMatcher as error:
        yield Finding(chain.names.alertmanager, "route", str(error), "`amtool check-config` says where")


def _undefined(chain: Chain, config: AlertmanagerFile) -> Iterator[Finding]:
    defined = {each.name for each in config.receivers}
    if config.route.receiver is None:
        yield Finding(chain.names.alertmanager, "route.receiver", "is missing", "name who hears what nobody else takes")
    for path, route in every(config.route):
        if route.receiver is not None and route.receiver not in defined:
            what = f"{route.receiver!r} is not among the receivers"
            yield Finding(
                chain.names.alertmanager, f"{path}.receiver", what, f"defined are {', '.join(sorted(defined))}"
            )


def _machine(chain: Chain, config: AlertmanagerFile, policy: Policy) -> Iterator[Finding]:
    file = chain.names.alertmanager
    for labels in machine_labels(chain):
        name = labels["alertname"]
        found = machine_deliveries(config, labels, policy)
        if not found:
            told = ", ".join(each.receiver for each, _ in deliveries(config, labels)) or "nobody"
            what = f"{name} goes to {told}, and none of them posts to {policy.webhook_path} of the rollback receiver"
            yield Finding(file, "route", what, 'route airbag_action="rollback" to a webhook there')
        for delivery, _, _ in found:
            yield from _timers(file, delivery, policy)
        if found and not any(_is_people(receiver, policy) for _, receiver in deliveries(config, labels)):
            what = f"ends the way of {name}: no person hears of it"
            yield Finding(
                file, f"{found[0][0].path}.continue", what, "set `continue: true`, and a route for people after it"
            )


def _timers(file: str, delivery: Delivery, policy: Policy) -> Iterator[Finding]:
    path = delivery.path
    if delivery.group_wait > 0:
        what = f"is {shown(delivery.group_wait)} on the way to the machine: every rollback waits for it"
        yield Finding(file, f"{path}.group_wait", what, "set `group_wait: 0s`")
    lost = [] if delivery.group_by is None else [name for name in IDENTITY if name not in delivery.group_by]
    if lost:
        what = f"lacks {', '.join(lost)}: a second version's alert waits for the group of the first"
        yield Finding(file, f"{path}.group_by", what, f"group by alertname, {', '.join(IDENTITY)}")
    if delivery.intervals:
        what = f"the machine is not told at all times ({', '.join(delivery.intervals)})"
        yield Finding(file, path, what, "bad releases keep no hours; remove the time intervals")
    most = min(REPEAT_MAX, policy.release_window)
    if delivery.repeats_after > most + delivery.group_interval:
        what = f"is {shown(delivery.repeat_interval)}: a message that got lost is sent again only then"
        yield Finding(file, f"{path}.repeat_interval", what, f"set 1m; at most {shown(most)}")
    elif max(delivery.repeat_interval, delivery.group_interval) < REPEAT_MIN:
        what = f"is {shown(delivery.repeat_interval)}: every message is a line in the receiver's journal"
        yield note(file, f"{path}.repeat_interval", what, "1m is often enough")


def _is_people(receiver: Receiver | None, policy: Policy) -> bool:
    if receiver is None:
        return False
    return bool(receiver.others) or any(not is_machine(each, policy) for each in receiver.webhook_configs)


def _people(chain: Chain, config: AlertmanagerFile, policy: Policy) -> Iterator[Finding]:
    """Alerts that are not for the machine must not go there: it refuses them."""
    external = dict(chain.prometheus.global_.external_labels) if chain.prometheus else {}
    for name, placed in chain.alerts().items():
        if name in policy.judged or name == policy.watchdog or ACTION in placed.rule.labels:
            continue  # the rules' own lint looks at what they ask for
        labels = {**subjects(chain)[0], **external, **placed.rule.labels, "alertname": name}
        for delivery, receiver, _ in machine_deliveries(config, labels, policy):
            what = f"{name} goes to {receiver.name}, which posts to the rollback receiver: that refuses it"
            yield Finding(chain.names.alertmanager, delivery.path, what, 'match airbag_action="rollback"')


def _watchdog(chain: Chain, config: AlertmanagerFile, policy: Policy) -> Iterator[Finding]:
    """The alert that always fires has to come by the very way of the others, more often than it is missed."""
    within = policy.watchdog_within
    if within is None:
        return
    placed = chain.alerts().get(policy.watchdog)
    labels = {**(placed.rule.labels if placed else {}), "alertname": policy.watchdog}
    found = machine_deliveries(config, labels, policy)
    machine = {
        webhook.url for each in machine_labels(chain) for _, _, webhook in machine_deliveries(config, each, policy)
    }
    file = chain.names.alertmanager
    if not found:
        what = f"{policy.watchdog} does not go to the rollback receiver, which raises the alarm when it does not come"
        yield Finding(file, "route", what, "route it to the same webhook as the rollback alerts")
        return
    if machine and not machine & {webhook.url for _, _, webhook in found}:
        what = f"{policy.watchdog} goes to another webhook than the rollback alerts, and proves nothing of theirs"
        yield Finding(file, found[0][0].path, what, f"send it to {', '.join(sorted(machine))}")
    soonest = min(found, key=lambda each: each[0].repeats_after)[0]
    if soonest.repeats_after + soonest.group_wait >= within:
        what = (
            f"{policy.watchdog} is repeated after {shown(soonest.repeats_after)} and missed after {shown(within)} "
            f"(watchdog_within of {chain.names.policy})"
        )
        yield Finding(file, f"{soonest.path}.repeat_interval", what, "repeat it at least twice in that time")


def _inhibited(chain: Chain, config: AlertmanagerFile) -> Iterator[Finding]:
    """An inhibited rollback alert never reaches the machine."""
    for at, rule in enumerate(config.inhibit_rules):
        targets = matchers.of(rule.target_matchers, rule.target_match, rule.target_match_re)
        for labels in machine_labels(chain):
            if all(each.matches(labels) for each in targets) and _can_be_equal(rule, labels):
                what = f"can hold back {labels['alertname']}, which the machine answers"
                remedy = 'add airbag_action="" to its target_matchers'
                yield Finding(chain.names.alertmanager, f"inhibit_rules[{at}]", what, remedy)
                break


def _can_be_equal(rule: InhibitRule, labels: Mapping[str, str]) -> bool:
    """A label that only the source has is never equal; sources that lack it as well are not thought of."""
    return all(name in labels for name in rule.equal)
