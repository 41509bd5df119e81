"""The longest time from a fault to an action, term by term. Where the formulas come from: docs/check.md."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from airbag.chain import matchers
from airbag.chain.crossing import Look, least_traffic, seconds_to_cross
from airbag.chain.documents import AlertmanagerFile, PrometheusFile
from airbag.chain.durations import parse, ticks
from airbag.chain.facts import Chain, Judged, Placed, Policy
from airbag.chain.machine import machine_deliveries, machine_labels
from airbag.chain.prometheus_lint import jobs_behind
from airbag.chain.promql import doubt
from airbag.chain.routing import Delivery
from airbag.serving.groups import ModelEntry, Servings

POLL = 1.0
"""Seconds between two looks of the serving exporter at a server."""
DECISION = 0.5
"""Seconds for Alertmanager's message, and for the receiver's journal, questions to Prometheus and new models.config."""
SWITCH = 1.2
"""Seconds that TF Serving takes to follow, with the version to go back to loaded: a poll of 1 s, and two ticks."""
FAST_RESEND = 5.0
"""Seconds after which the exporter sends its own alert again."""
TOTAL, PARTIAL = 1.0, 0.2
"""Shares of bad answers: a total failure, and the one in five that benchmarks use."""


@dataclass(frozen=True)
class Term:
    """A part of the time, and the setting that makes it shorter."""

    name: str
    seconds: float
    setting: str


@dataclass(frozen=True)
class Way:
    """The longest time by which one alert is acted on.

    `fault` is the share of bad answers, None for an alert that rests on a state. `lost_before` and `lost_after` are
    added when one message to Alertmanager, or from it, gets lost. `again` is the time for a second fault of a version.
    `is_doubted` when small faults wait until chance is ruled out.
    """

    alert: str
    lane: str
    model: str
    fault: float | None
    terms: tuple[Term, ...]
    lost_before: float
    lost_after: float
    again: float
    traffic_min: float = 0.0
    is_doubted: bool = False

    @property
    def seconds(self) -> float:
        """From the first bad answer to the first touch of the server."""
        return sum(each.seconds for each in self.terms)

    @property
    def dominant(self) -> Term:
        """The longest part."""
        return max(self.terms, key=lambda each: each.seconds)


@dataclass(frozen=True)
class _Whole:
    """A chain of which every file could be read."""

    chain: Chain
    policy: Policy
    servings: Servings
    prometheus: PrometheusFile
    alertmanager: AlertmanagerFile


def ways(chain: Chain) -> list[Way]:
    """Of every alert, lane and fault the slowest model's; nothing where a file is missing."""
    policy, servings, prometheus, alertmanager = chain.policy, chain.servings, chain.prometheus, chain.alertmanager
    if policy is None or servings is None or prometheus is None or alertmanager is None:
        return []
    slowest: dict[tuple[str, str, float | None], Way] = {}
    for way in _all(_Whole(chain, policy, servings, prometheus, alertmanager)):
        key = (way.alert, way.lane, way.fault)
        if key not in slowest or way.seconds > slowest[key].seconds:
            slowest[key] = way
    return list(slowest.values())


def _all(whole: _Whole) -> Iterator[Way]:
    chain, routes = whole.chain, _routes(whole)
    for name, placed in chain.machine_alerts().items():
        for group in whole.servings.servings if name in routes else ():
            for model in group.models:
                yield from _by_rules(whole, name, placed, routes[name], model)
    for name, certain in (chain.fast_lane.certain_after if chain.fast_lane else {}).items():
        if name in routes:
            yield _by_fast_lane(chain, name, certain, routes[name])


def _routes(whole: _Whole) -> dict[str, Delivery]:
    """The slowest way of each alert to the machine."""
    found: dict[str, Delivery] = {}
    try:
        for labels in machine_labels(whole.chain):
            for delivery, _, _ in machine_deliveries(whole.alertmanager, labels, whole.policy):
                before = found.setdefault(labels["alertname"], delivery)
                if delivery.group_wait > before.group_wait:
                    found[labels["alertname"]] = delivery
    except matchers.NotAMatcher:  # told by the lint of the routes
        return {}
    return found


def _by_rules(whole: _Whole, name: str, placed: Placed, route: Delivery, model: ModelEntry) -> Iterator[Way]:
    chain, judged = whole.chain, whole.policy.judged[name]
    if judged.share_min and getattr(model.expect, judged.share_min) is None:
        return
    pace, chance = whole.servings.rules.pace, doubt(placed.rule.expr, chain.records())
    windows = (pace.window, pace.burst) if judged.is_quick else (pace.window,)
    looks = [Look(parse(window), chain.traffic, chance) for window in windows]
    counted = bool(judged.share_max or judged.share_min)
    evaluation = placed.group.interval or whole.prometheus.global_.evaluation_interval
    before, after = _before(whole, name, evaluation), _after(chain, placed, evaluation, route)
    for fault in (TOTAL, PARTIAL) if counted else (None,):
        terms = [*before, *([_window(judged, model, fault, looks)] if fault else []), *after]
        seconds = sum(each.seconds for each in terms)
        yield Way(
            name, "rules", model.name, fault, tuple(terms),
            lost_before=ticks(chain.resend_delay, evaluation) + evaluation,
            lost_after=route.repeats_after,
            again=seconds - route.group_wait + route.group_interval,
            traffic_min=least_traffic(judged, model.expect, looks[0].window) if counted else 0.0,
            is_doubted=chance > 0,
        )  # fmt: skip


def _before(whole: _Whole, name: str, evaluation: float) -> list[Term]:
    """Until the fault is in Prometheus and a rule looks."""
    chain, prometheus = whole.chain, whole.prometheus
    sources = jobs_behind(chain, name)
    jobs = [job for job in prometheus.scrape_configs if job.job_name in sources]
    scrape = max((prometheus.interval(job) for job in jobs), default=prometheus.global_.scrape_interval)
    is_polled = chain.jobs.get("airbag_tfs_") in sources
    profile = "rules.profile in exporters.yml"
    return [
        *([Term("poll", POLL, "none: the exporter looks once a second")] if is_polled else []),
        *([Term("golden", chain.asking[name], "golden.timeout in exporters.yml")] if name in chain.asking else []),
        Term("scrape", scrape, f"scrape_interval in prometheus.yml, by {profile}"),
        Term("evaluation", evaluation, f"evaluation_interval and the group's interval, by {profile}"),
    ]


def _window(judged: Judged, model: ModelEntry, fault: float, looks: Sequence[Look]) -> Term:
    seconds = min(seconds_to_cross(judged, model.expect, fault, look) for look in looks)
    key = judged.share_max or judged.share_min
    return Term("window", seconds, f"expect.{key} of {model.name}, or the window, by rules.profile in exporters.yml")


def _after(chain: Chain, placed: Placed, evaluation: float, route: Delivery) -> list[Term]:
    """From the rule's first true evaluation to the touch."""
    hold = "`for` of the rule, by rules.profile in exporters.yml"
    return [Term("for", ticks(placed.rule.for_, evaluation), hold), *_delivered(chain, route)]


def _delivered(chain: Chain, route: Delivery) -> list[Term]:
    return [
        Term("group_wait", route.group_wait, f"{route.path}.group_wait in {chain.names.alertmanager}"),
        Term("decision", DECISION, "none: the receiver's own work"),
    ]


def _by_fast_lane(chain: Chain, name: str, certain: float, route: Delivery) -> Way:
    setting = "golden.timeout of the model in exporters.yml" if certain > 2 * POLL else "none: the exporter's own looks"
    terms = (Term("exporter", certain, setting), *_delivered(chain, route))
    seconds = sum(each.seconds for each in terms)
    return Way(
        name, "fast lane", "", None, terms, FAST_RESEND, route.repeats_after,
        again=seconds - route.group_wait + route.group_interval,
    )  # fmt: skip


def is_endless(way: Way) -> bool:
    """Whether such a fault is never acted on: it is smaller than what is allowed, or the traffic too little."""
    return math.isinf(way.seconds)
