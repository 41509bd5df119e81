"""Whether what runs is what the files say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from airbag.chain import matchers
from airbag.chain.documents import AlertmanagerFile, Open, PrometheusFile, Text
from airbag.chain.durations import shown
from airbag.chain.facts import Chain
from airbag.chain.finding import Finding, note
from airbag.chain.machine import machine_labels
from airbag.chain.prometheus_lint import host_port, targets
from airbag.chain.routing import Delivery, reached

_RELOAD = "reload it: POST /-/reload with --web.enable-lifecycle, SIGHUP, or a restart"


class LiveRule(Open):
    """A rule as Prometheus' API shows it; records have no duration."""

    name: Text
    type: Text = ""
    duration: float = 0.0
    health: Text = ""
    lastError: Text = ""  # noqa: N815 - Prometheus' spelling


class LiveTarget(Open):
    """A target as Prometheus' API shows it."""

    scrapePool: Text = ""  # noqa: N815 - Prometheus' spelling
    scrapeUrl: Text = ""  # noqa: N815
    health: Text = ""
    lastError: Text = ""  # noqa: N815


@dataclass(frozen=True)
class Live:
    """What the servers said. None, or a missing address, where one did not answer, which is told elsewhere.

    `told` are the addresses that Prometheus sends alerts to; `alertmanagers` the configuration that each has loaded,
    and `settling` those that still look for their peers.
    """

    prometheus_url: str = ""
    prometheus: PrometheusFile | None = None
    rules: tuple[LiveRule, ...] | None = None
    targets: tuple[LiveTarget, ...] | None = None
    told: tuple[str, ...] | None = None
    alertmanagers: Mapping[str, AlertmanagerFile] = field(default_factory=dict)
    settling: tuple[str, ...] = ()


def live_lint(chain: Chain, live: Live) -> Iterator[Finding]:
    """Every difference between the files and what runs."""
    if chain.prometheus is not None and live.prometheus is not None:
        yield from _loaded(live, chain.prometheus, live.prometheus)
    if live.rules is not None:
        yield from _rules(chain, live, live.rules)
    yield from _targets(live)
    if chain.prometheus is not None and live.told is not None:
        yield from _told(chain, live, chain.prometheus, live.told)
    for url, config in live.alertmanagers.items():
        yield from _routes(chain, url, config)
    for url in live.settling:
        yield note(url, "cluster", "still looks for its peers; it holds messages back until it is ready")


def _loaded(live: Live, file: PrometheusFile, loaded: PrometheusFile) -> Iterator[Finding]:
    compared = {
        "global.scrape_interval": (file.global_.scrape_interval, loaded.global_.scrape_interval),
        "global.evaluation_interval": (file.global_.evaluation_interval, loaded.global_.evaluation_interval),
        "global.external_labels": (dict(file.global_.external_labels), dict(loaded.global_.external_labels)),
        "scrape_configs": tuple(
            {job.job_name: each.interval(job) for job in each.scrape_configs} for each in (file, loaded)
        ),
    }
    for path, (written, runs) in compared.items():
        if written != runs:
            yield Finding(live.prometheus_url, path, f"is {runs} where it runs, and {written} in the file", _RELOAD)


def _rules(chain: Chain, live: Live, rules: tuple[LiveRule, ...]) -> Iterator[Finding]:
    there = {rule.name: rule for rule in rules if rule.type == "alerting"}
    for name, placed in chain.alerts().items():
        if name not in there:
            yield Finding(live.prometheus_url, f"rules, {name}", f"is not loaded; it is in {placed.file}", _RELOAD)
        elif name in chain.machine_alerts() and there[name].duration != placed.rule.for_:
            runs, written = shown(there[name].duration), shown(placed.rule.for_)
            what = f"has `for` {runs} where it runs, and {written} in {placed.file}"
            yield Finding(live.prometheus_url, f"rules, {name}", what, _RELOAD)
    for rule in rules:
        if rule.health == "err":
            yield Finding(live.prometheus_url, f"rules, {rule.name}", f"cannot be evaluated: {rule.lastError}")


def _targets(live: Live) -> Iterator[Finding]:
    for target in live.targets or ():
        if target.health == "down":
            what = f"{target.scrapeUrl} cannot be scraped: {target.lastError}"
            yield Finding(
                live.prometheus_url, f"targets, {target.scrapePool}", what, "start it, or correct its address"
            )
    if live.targets is not None and live.prometheus is not None:
        there = {target.scrapePool for target in live.targets}
        for job in live.prometheus.scrape_configs:
            if job.job_name not in there:
                yield Finding(live.prometheus_url, f"targets, {job.job_name}", "has no target", "see its target files")


def _told(chain: Chain, live: Live, prometheus: PrometheusFile, told: tuple[str, ...]) -> Iterator[Finding]:
    path = "alertmanagers"
    if not told:
        yield Finding(live.prometheus_url, path, "are none: no alert reaches anybody", "see `alerting` and its targets")
        return
    groups = prometheus.alerting.alertmanagers
    listed = {target for each in groups for target in targets(chain, each)}
    runs = {host_port(url) for url in told}
    if listed and not any(each.elsewhere for each in groups) and runs != listed:
        what = f"are {', '.join(sorted(runs))} where it runs, and {', '.join(sorted(listed))} in the files"
        yield Finding(live.prometheus_url, path, what, _RELOAD)


def _routes(chain: Chain, url: str, loaded: AlertmanagerFile) -> Iterator[Finding]:
    """Addresses are hidden where it runs, the ways to them are not."""
    if chain.alertmanager is None:
        return
    try:
        for labels in machine_labels(chain):
            written, runs = (reached(each.route, labels) for each in (chain.alertmanager, loaded))
            if written != runs:
                what = f"{labels['alertname']} goes {_ways(runs)} where it runs, and {_ways(written)} in the file"
                yield Finding(url, "route", what, _RELOAD)
                return
    except matchers.NotAMatcher:  # told by the lint of the routes
        return


def _ways(deliveries: list[Delivery]) -> str:
    return " and ".join(
        f"to {each.receiver} (group_wait {shown(each.group_wait)}, group_interval {shown(each.group_interval)}, "
        f"repeat_interval {shown(each.repeat_interval)})"
        for each in deliveries
    )
