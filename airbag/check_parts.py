"""What the exporters and the receiver say for themselves, as facts of the chain."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from airbag.chain import facts
from airbag.chain.finding import Finding, Level, note, of_error
from airbag.chain.promql import series
from airbag.chain.times import POLL
from airbag.check_files import Paths, shown_path
from airbag.check_secrets import secret_findings
from airbag.config import Secret, load
from airbag.errors import ConfigError
from airbag.rules import Profile, RuleSettings
from airbag.serving.groups import Expectations
from airbag_exporters.config import ExportersConfig
from airbag_exporters.quality.checks import check_quality, told
from airbag_exporters.serving.golden.file import load_all
from airbag_rollback.policy import Policy
from airbag_rollback.signals import SIGNALS, Signal, fill
from airbag_rollback.webhook import WATCHDOG

JOBS = {
    "airbag_tfs_": "airbag-serving",
    "airbag_quality_": "airbag-quality",
    "airbag_rollback_": "airbag-receiver",
}
"""Which job of Prometheus brings the series whose names begin so."""

WEBHOOK_PATH = "/v1/alerts"
T = TypeVar("T")

_THRESHOLD = re.compile(r"airbag_(?:tfs|quality)_(\w+)\{")


@dataclass
class Parts:
    """Both configurations as far as they could be read, lines for people about them, and what is wrong with them."""

    exporters: ExportersConfig | None = None
    policy: Policy | None = None
    told: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def read_parts(exporters: Path, policy: Path, paths: Paths) -> Parts:
    """Read both. Never raises for what a file holds."""
    parts = Parts()
    name = shown_path(exporters)
    config = _tried(parts, name, lambda: load(exporters, ExportersConfig))
    if config is not None:
        parts.exporters = config
        _tried(parts, name, lambda: load_all(config))
        found = _tried(parts, name, lambda: check_quality(config))
        parts.told = list(told(found, config.quality.series_max)) if found else []
        if config.quality.token:
            parts.findings += _secret(name, "quality.token", config.quality.token, paths)
        parts.findings += secret_findings(name, config, paths)
    parts.policy = _tried(parts, shown_path(policy), lambda: load(policy, Policy))
    if parts.policy is not None:
        name = shown_path(policy)
        parts.findings += _secret(name, "webhook_token", parts.policy.webhook_token, paths)
        parts.findings += _same_exporters(name, parts.policy, exporters, paths)
        parts.findings += secret_findings(name, parts.policy, paths)
    return parts


def _tried(parts: Parts, name: str, read: Callable[[], T]) -> T | None:
    try:
        return read()
    except ConfigError as error:
        parts.findings += of_error(name, error)
        return None


def _secret(file: str, key: str, secret: Secret, paths: Paths) -> Iterator[Finding]:
    """A secret that is not here is only a note: it lies where the process runs."""
    local = paths.find(str(secret.file)) if secret.file else None
    try:
        (Secret(file=local) if local else secret).read()
    except ConfigError as error:
        is_elsewhere = (secret.file is not None) != (secret.env is not None) and local is None
        level = Level.NOTE if is_elsewhere else Level.PROBLEM
        yield from (Finding(file, f"{key}: {each.path}", each.what, each.remedy, level) for each in error.problems)


def _same_exporters(name: str, policy: Policy, exporters: Path, paths: Paths) -> Iterator[Finding]:
    found = paths.find(str(policy.exporters_file))
    if found is None:
        what = f"there is no file {policy.exporters_file}"
        yield Finding(name, "exporters_file", what, "write it, or map it with --path")
    elif exporters.exists() and not found.samefile(exporters):
        what = f"is {found}, and {exporters} is what is checked: the receiver and the exporters must read the same file"
        yield Finding(name, "exporters_file", what, "name the same file")


def policy_facts(policy: Policy, rules: RuleSettings, url: str | None) -> facts.Policy:
    """What the receiver knows and is told."""
    return facts.Policy(
        judged={name: _judged(signal, rules.pace) for name, signal in SIGNALS.items()},
        actions=frozenset({"rollback"}),
        webhook_path=WEBHOOK_PATH,
        prometheus_url=policy.prometheus_url,
        alertmanager_urls=policy.alertmanager_urls,
        release_window=policy.release_window,
        decide_within=policy.decide_within,
        watchdog=WATCHDOG,
        watchdog_within=policy.watchdog_within or None,
        url=url,
    )


def _judged(signal: Signal, pace: Profile) -> facts.Judged:
    """The names of the exported thresholds are those of a model's expectations."""
    queries = (signal.value, signal.samples, signal.history, signal.history_samples, signal.recovered)
    asked = {name for query in queries for name in series(fill(query, "s", "m", 1, pace))}
    threshold, samples_min = _expectation(signal.threshold), _expectation(signal.samples_min)
    return facts.Judged(
        share_max=threshold if signal.bad == "above" else "",
        share_min=threshold if signal.bad == "below" else "",
        samples_min=samples_min,
        records=frozenset(name for name in asked if ":" in name),
        is_quick="$burst" in signal.value,
    )


def _expectation(query: str) -> str:
    found = _THRESHOLD.search(query)
    return found[1] if found and found[1] in Expectations.model_fields else ""


def fast_lane_facts(config: ExportersConfig) -> facts.FastLane | None:
    """What the serving exporter tells Alertmanager itself, and after how many seconds it is certain.

    A load counts as failed when two looks say so.
    """
    if config.alerts is None:
        return None
    certain = {"AirbagVersionLoadFailed": 2 * POLL}
    certain |= {name: POLL + seconds for name, seconds in asking(config).items()}
    return facts.FastLane(config.alerts.alertmanager_urls, config.alerts.labels, certain)


def asking(config: ExportersConfig) -> dict[str, float]:
    """Seconds that a wrong golden request takes: it is asked once more, and either may take its timeout."""
    timeouts = [model.golden.timeout for group in config.servings for model in group.models if model.golden]
    return {"AirbagProbeFailed": 2 * max(timeouts)} if timeouts else {}


def token_findings(file: str, deployed: str | None, policy: Policy | None, paths: Paths) -> Iterator[Finding]:
    """Whether Alertmanager's token is here, and the receiver's."""
    if deployed is None:
        return
    local = paths.find(deployed)
    if local is None:
        yield note(file, "receivers", f"{deployed} is not on this machine, so that it could not be compared")
        return
    own = policy.webhook_token.file if policy else None
    other = paths.find(str(own)) if own else None
    if other is not None and other.read_bytes().strip() != local.read_bytes().strip():
        what = f"the token in {local} is not the receiver's, which is in {other}"
        yield Finding(file, "receivers", what, "use one file for both")
