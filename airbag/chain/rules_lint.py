"""Whether the rules are there that the receiver answers, keep what it needs, and have the profile's pace."""

from __future__ import annotations

import re
from collections.abc import Iterator

from airbag.chain.documents import PrometheusFile
from airbag.chain.durations import parse, shown
from airbag.chain.facts import IDENTITY, Chain, Placed, Policy
from airbag.chain.finding import Finding
from airbag.chain.promql import behind, jobs, ranges
from airbag.chain.promql_labels import kept

REBUILD = "run `airbag rules build`, then reload Prometheus"
ACTION = "airbag_action"


def rules_lint(chain: Chain) -> Iterator[Finding]:
    """Every finding in the rule files."""
    if chain.policy and chain.rules:
        yield from _missing(chain, chain.policy)
        for each in chain.placed():
            yield from _action(each, chain.policy)
        for placed in chain.machine_rules():
            yield from _identity(chain, placed)
            yield from _records(chain, chain.policy, placed)
    if chain.prometheus and chain.rules:
        yield from _pace(chain, chain.prometheus)
        yield from _jobs(chain, chain.prometheus)


def _missing(chain: Chain, policy: Policy) -> Iterator[Finding]:
    there = chain.alerts()
    for name in sorted(policy.judged.keys() - there.keys()):
        what = f"no rule makes the alert {name}, which the receiver answers"
        yield Finding(chain.names.prometheus, "rule_files", what, "ship the rule file that holds it")
    if policy.watchdog and policy.watchdog_within is not None and policy.watchdog not in there:
        what = f"no rule makes the alert {policy.watchdog}, so that a broken way to the receiver is not noticed"
        yield Finding(chain.names.prometheus, "rule_files", what, "ship the rule file that holds it")


def _action(placed: Placed, policy: Policy) -> Iterator[Finding]:
    """What an alert asks of the machine, and whether the machine would do it."""
    rule, path = placed.rule, placed.path
    if not rule.alert:
        return
    action = rule.labels.get(ACTION)
    known = ", ".join(sorted(policy.actions))
    if action is None and rule.alert in policy.judged:
        what = f"has no label {ACTION}, so the receiver refuses it"
        yield Finding(placed.file, path, what, f"label it {ACTION}: {known}")
    elif action is not None and action not in policy.actions:
        yield Finding(
            placed.file, f"{path}.labels.{ACTION}", f"is {action!r}, which no machine does", f"known: {known}"
        )
    elif action is not None and rule.alert not in policy.judged:
        what = f"asks for {action}, and the receiver does not know how to judge {rule.alert}: it refuses it"
        remedy = f"remove the label, or use one of {', '.join(sorted(policy.judged))}"
        yield Finding(placed.file, f"{path}.labels.{ACTION}", what, remedy)


def _identity(chain: Chain, placed: Placed) -> Iterator[Finding]:
    labels = kept(placed.rule.expr, chain.records())
    if labels is None:
        return
    lost = [name for name in IDENTITY if name not in labels | placed.rule.labels.keys()]
    if lost:
        what = f"loses the label {', '.join(lost)}, without which the receiver refuses the alert"
        yield Finding(placed.file, f"{placed.path}.expr", what, f"aggregate `by ({', '.join(IDENTITY)})`")


def _records(chain: Chain, policy: Policy, placed: Placed) -> Iterator[Finding]:
    """What the receiver will ask when this alert comes."""
    missing = sorted(policy.judged[placed.rule.alert or ""].records - chain.records().keys())
    if missing:
        what = (
            f"the receiver judges it by {', '.join(missing)}, which no rule records: it never sees data and never acts"
        )
        yield Finding(placed.file, placed.path, what, REBUILD)


def _pace(chain: Chain, prometheus: PrometheusFile) -> Iterator[Finding]:
    if chain.servings is None:
        return
    settings = chain.servings.rules
    hold, interval, window = (
        parse(each) for each in (settings.pace.hold, settings.pace.interval, settings.pace.window)
    )
    by = f"rules.profile is {settings.profile}"
    for placed in chain.machine_rules():
        rule = placed.rule
        if rule.for_ != hold:
            what = f"is {shown(rule.for_)}, and {shown(hold)} for the profile: {by}"
            yield Finding(placed.file, f"{placed.path}.for", what, REBUILD)
        evaluated = placed.group.interval or prometheus.global_.evaluation_interval
        if evaluated != interval:
            path = f"{placed.path.partition('.')[0]}.interval"
            what = f"is {shown(evaluated)}, and {shown(interval)} for the profile: {by}"
            yield Finding(placed.file, path, what, REBUILD)
        windows = {seconds for expr in behind(rule.expr, chain.records()) for seconds in _seconds(expr)}
        if windows and window not in windows:
            written = ", ".join(shown(each) for each in sorted(windows))
            what = f"looks back {written}, and never {shown(window)}, the window of the profile: {by}"
            yield Finding(placed.file, f"{placed.path}.expr", what, REBUILD)


def _seconds(expr: str) -> Iterator[float]:
    for text in ranges(expr):
        try:
            yield parse(text)
        except ValueError:  # promtool says it better
            continue


def _jobs(chain: Chain, prometheus: PrometheusFile) -> Iterator[Finding]:
    """The jobs that rules name, and those that bring the series behind the machine's alerts."""
    there = {job.job_name for job in prometheus.scrape_configs}
    for placed in chain.placed():
        for name, is_regex in sorted(jobs(placed.rule.expr)):
            try:
                found = any(re.fullmatch(name, job) for job in there) if is_regex else name in there
            except re.error:  # promtool says it better
                continue
            if not found:
                what = f"looks at the job {name}, which {chain.names.prometheus} does not have"
                yield Finding(placed.file, f"{placed.path}.expr", what, "name the job so, or add it")
