"""Whether Prometheus scrapes what the rules need, at the profile's pace, and tells the right Alertmanagers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from airbag.chain.documents import Discovering, PrometheusFile, ScrapeConfig
from airbag.chain.durations import parse, shown
from airbag.chain.facts import Chain, FastLane
from airbag.chain.finding import Finding, note
from airbag.chain.promql import behind, series
from airbag.chain.rules_lint import REBUILD


def prometheus_lint(chain: Chain) -> Iterator[Finding]:
    """Every finding in prometheus.yml and its target files."""
    if chain.prometheus is None:
        return
    yield from _pace(chain, chain.prometheus)
    for at, job in enumerate(chain.prometheus.scrape_configs):
        yield from _job(chain, chain.prometheus, f"scrape_configs[{at}] ({job.job_name})", job)
    yield from _machine_jobs(chain, chain.prometheus)
    yield from _alertmanagers(chain, chain.prometheus)
    if chain.fast_lane:
        yield from _labels(chain, chain.prometheus, chain.fast_lane)


def _pace(chain: Chain, prometheus: PrometheusFile) -> Iterator[Finding]:
    if chain.servings is None:
        return
    settings = chain.servings.rules
    wanted = parse(settings.pace.interval)
    for key in ("scrape_interval", "evaluation_interval"):
        given: float = getattr(prometheus.global_, key)
        if given != wanted:
            what = f"is {shown(given)}, and {shown(wanted)} for the profile: rules.profile is {settings.profile}"
            yield Finding(chain.names.prometheus, f"global.{key}", what, REBUILD)


def _job(chain: Chain, prometheus: PrometheusFile, path: str, job: ScrapeConfig) -> Iterator[Finding]:
    file, interval = chain.names.prometheus, prometheus.interval(job)
    timeout = job.scrape_timeout or prometheus.global_.scrape_timeout
    if timeout is not None and timeout > interval:
        what = f"is {shown(timeout)}, longer than the interval of {shown(interval)}"
        yield Finding(file, f"{path}.scrape_timeout", what, "leave it out: it follows the interval")
    if job.sample_limit == 0:
        what = "has no sample_limit: a page that grows without end takes Prometheus down with it"
        yield note(file, path, what, "set one far above what the job needs")
    yield from _targets(chain, path, job)


def _targets(chain: Chain, path: str, job: Discovering) -> Iterator[Finding]:
    file = chain.names.prometheus
    for pattern in _patterns(job):
        found = chain.target_files.get(pattern, {})
        if not found:
            yield Finding(
                file, f"{path}.file_sd_configs", f"there is no file {pattern}", "write it, or map it with --path"
            )
        for name, document in found.items():
            if not any(group.targets for group in document.root):
                yield Finding(name, "file", "lists no target", f"name what the job {path} is to scrape")
    if not (job.elsewhere or _patterns(job) or any(group.targets for group in job.static_configs)):
        yield Finding(file, path, "has no targets", "add file_sd_configs or static_configs")


def _patterns(job: Discovering) -> list[str]:
    return [pattern for each in job.file_sd_configs for pattern in each.files]


def targets(chain: Chain, job: Discovering) -> set[str]:
    """Every HOST:PORT that is listed for a job."""
    groups = [*job.static_configs]
    for pattern in _patterns(job):
        groups += [group for document in chain.target_files.get(pattern, {}).values() for group in document.root]
    return {target for group in groups for target in group.targets}


def _machine_jobs(chain: Chain, prometheus: PrometheusFile) -> Iterator[Finding]:
    """A rollback is decided on a window of numbers that must come at the profile's pace."""
    by_name = {job.job_name: (at, job) for at, job in enumerate(prometheus.scrape_configs)}
    settings = chain.servings.rules if chain.servings else None
    for name in sorted({job for alert in chain.machine_alerts() for job in jobs_behind(chain, alert)}):
        if name not in by_name:
            what = f"has no job {name}, and what a rollback rests on comes from it"
            yield Finding(chain.names.prometheus, "scrape_configs", what, "add the job")
            continue
        at, job = by_name[name]
        if settings and job.scrape_interval not in (None, parse(settings.pace.interval)):
            what = (
                f"is {shown(job.scrape_interval or 0)}, and {settings.pace.interval} for the profile: rollbacks are "
                f"decided on {settings.pace.window} of its numbers"
            )
            path = f"scrape_configs[{at}] ({name}).scrape_interval"
            yield Finding(chain.names.prometheus, path, what, "leave it out: the global one is the profile's")


def jobs_behind(chain: Chain, alert: str) -> set[str]:
    """The jobs that bring the series which the value of an alert rests on."""
    placed = chain.alerts().get(alert)
    if placed is None:
        return set()
    names = {name for expr in behind(placed.rule.expr, chain.records()) for name in series(expr)}
    return {job for name in names for prefix, job in chain.jobs.items() if name.startswith(prefix)}


def _alertmanagers(chain: Chain, prometheus: PrometheusFile) -> Iterator[Finding]:
    file, groups = chain.names.prometheus, prometheus.alerting.alertmanagers
    if not groups:
        yield Finding(file, "alerting.alertmanagers", "is empty: no alert reaches anybody", "list every Alertmanager")
        return
    for at, each in enumerate(groups):
        yield from _targets(chain, f"alerting.alertmanagers[{at}]", each)
    if any(each.elsewhere for each in groups):
        yield note(file, "alerting.alertmanagers", "finds Alertmanagers in a way that cannot be followed from here")
        return
    told = {target for each in groups for target in targets(chain, each)}
    others = {}
    if chain.policy:
        others[chain.names.policy, "alertmanager_urls"] = chain.policy.alertmanager_urls
    if chain.fast_lane:
        others[chain.names.exporters, "alerts.alertmanager_urls"] = chain.fast_lane.alertmanager_urls
    for (name, path), urls in others.items():
        named = {host_port(url) for url in urls}
        if told and named != told:
            what = f"names {_list(named)}, and Prometheus tells {_list(told)}"
            yield Finding(name, path, what, "name the same Alertmanagers everywhere, all of them")


def host_port(url: str) -> str:
    """HOST:PORT of an address, with the scheme's own port when it names none."""
    parts = urlsplit(url)
    return (
        parts.netloc
        if ":" in parts.netloc.rpartition("]")[2]
        else f"{parts.netloc}:{443 if parts.scheme == 'https' else 80}"
    )


def _labels(chain: Chain, prometheus: PrometheusFile, fast_lane: FastLane) -> Iterator[Finding]:
    """Alertmanager takes an alert of the rules and one of the fast lane for one only with the same labels."""
    external = dict(prometheus.global_.external_labels)
    if prometheus.alerting.alert_relabel_configs:
        what = (
            "changes the labels of alerts; whether they still are those of exporters.yml's `alerts.labels` is for you"
        )
        yield note(chain.names.prometheus, "alerting.alert_relabel_configs", what)
    elif external != dict(fast_lane.labels):
        own, others = _pairs(fast_lane.labels), _pairs(external)
        what = f"is {own}, and Prometheus' external_labels are {others}: one fault makes two alerts"
        yield Finding(chain.names.exporters, "alerts.labels", what, "write there what global.external_labels says")


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _pairs(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(labels.items())) or "empty"
