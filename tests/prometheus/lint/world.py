"""What the checks look at: one rule, and the world that it stands in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import promql_parser as ast
import yaml

from airbag.config import parse_duration
from airbag.rules import RuleSettings
from airbag_exporters.rules.build import build, read_written, with_pace
from tests.fakes import exported, promql
from tests.fakes.binaries import ROOT

TARGET = frozenset({"job", "instance"})
"""The labels that Prometheus puts on everything that it scrapes."""
_ABOUT_SCRAPES = (
    "up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
)  # fmt: skip
_PARTS = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum")}


@dataclass(frozen=True)
class Rule:
    """A record or an alert; `interval` is its group's, `hold` its `for`, both in seconds."""

    name: str
    is_alert: bool
    expr: str
    file: str
    group: str
    interval: float
    hold: float | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @cached_property
    def tree(self) -> ast.Expr:
        """The expression as a tree."""
        return promql.read(self.expr)


@dataclass(frozen=True)
class World:
    """The rules, and the series that there are: their labels, their type, and the jobs that show them."""

    rules: tuple[Rule, ...]
    exported: Mapping[str, frozenset[str]]
    types: Mapping[str, str]
    jobs: Mapping[str, frozenset[str]]
    scraped_every: Mapping[str, float]
    external_labels: frozenset[str]

    @cached_property
    def records(self) -> dict[str, Rule]:
        """Every record by its name."""
        return {rule.name: rule for rule in self.rules if not rule.is_alert}

    def knows(self, series: str) -> bool:
        """Whether anything exports or records it."""
        return series in self.exported or series in self.records

    def labels(self, series: str) -> frozenset[str]:
        """The labels that a series can have; those of a record are what its expression keeps."""
        return self._kept.get(series) or self.exported.get(series, frozenset())

    @cached_property
    def _kept(self) -> dict[str, frozenset[str]]:
        kept: dict[str, frozenset[str]] = {}

        def of(series: str) -> frozenset[str]:
            if series in self.records and series not in kept:
                kept[series] = promql.labels(self.records[series].tree, of)
            return kept.get(series) or self.exported.get(series, frozenset())

        for name in self.records:
            of(name)
        return kept

    def pace(self, selector: ast.VectorSelector) -> float:
        """Seconds between two values of the slowest series that the selector takes."""
        name = str(selector.name)
        if name in self.records:
            return self.records[name].interval
        jobs = [job for job in self.jobs.get(name, ()) if _takes(selector, job)]
        return max((self.scraped_every[job] for job in jobs), default=0)


def _takes(selector: ast.VectorSelector, job: str) -> bool:
    for matcher in selector.matchers.matchers:
        if matcher.name == "job":
            equal = matcher.op in (ast.MatchOp.Equal, ast.MatchOp.NotEqual)
            hit = job == matcher.value if equal else bool(re.fullmatch(matcher.value, job))
            if hit != (matcher.op in (ast.MatchOp.Equal, ast.MatchOp.Re)):
                return False
    return True


def rules_of(files: Mapping[str, str]) -> tuple[Rule, ...]:
    """The rules of rule files, given by name."""
    return tuple(
        _rule(rule, file, group)
        for file, text in files.items()
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
    )


def _rule(rule: Mapping[str, Any], file: str, group: Mapping[str, Any]) -> Rule:
    hold = rule.get("for")
    return Rule(
        name=rule.get("record") or rule["alert"], is_alert="alert" in rule, expr=rule["expr"], file=file,
        group=group["name"], interval=parse_duration(group["interval"]),
        hold=None if hold is None else parse_duration(hold), labels=rule.get("labels", {}),
        annotations=rule.get("annotations", {}),
    )  # fmt: skip


@cache
def world(profile: str) -> World:
    """That of a profile: its rules and its scrape intervals."""
    settings = RuleSettings.model_validate({"profile": profile})
    text = with_pace(settings, (ROOT / "prometheus" / "prometheus.yml").read_text())
    config = yaml.safe_load(text)
    every = config["global"]["scrape_interval"]
    scraped = {job["job_name"]: parse_duration(job.get("scrape_interval", every)) for job in config["scrape_configs"]}
    labels: dict[str, frozenset[str]] = dict.fromkeys(_ABOUT_SCRAPES, TARGET)
    scraped |= dict.fromkeys(set(exported.pages()) - set(scraped), parse_duration(every))  # for who adds the job
    types: dict[str, str] = dict.fromkeys(_ABOUT_SCRAPES, "gauge")
    jobs: dict[str, frozenset[str]] = dict.fromkeys(_ABOUT_SCRAPES, frozenset(scraped))
    for job in exported.pages():
        for family in exported.families(job):
            for sample in family.samples:
                labels[sample.name] = labels.get(sample.name, TARGET) | set(sample.labels)
                types[sample.name] = "counter" if _counts(family.type, sample.name) else family.type
                jobs[sample.name] = jobs.get(sample.name, frozenset()) | {job}
    return World(
        rules=rules_of(build(settings, read_written(ROOT / "prometheus" / "src"))), exported=labels, types=types,
        jobs=jobs, scraped_every=scraped, external_labels=frozenset(config["global"].get("external_labels", {})),
    )  # fmt: skip


def _counts(kind: str, sample: str) -> bool:
    return kind == "counter" or sample.endswith(_PARTS.get(kind, ("\0",)))
