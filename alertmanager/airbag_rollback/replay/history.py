"""Puts a replay together, and says first whether there is a past that can be judged."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airbag.config import load, parse_duration
from airbag.errors import ConfigError, Problem
from airbag.http_config import load_http_config, raise_for
from airbag.rules import Profile
from airbag.serving.groups import load_servings
from airbag_rollback.config import Settings
from airbag_rollback.keys import Keys
from airbag_rollback.policy import Policy
from airbag_rollback.replay.past import PastClock, PastPrometheus, Span
from airbag_rollback.replay.rerun import Finding, NotReplayed, Rerun, journal_of_its_own, only_watched
from airbag_rollback.replay.serving import DEFAULT, Past
from airbag_rollback.replay.stretches import Stretch, fired, measured, told_apart

_LOOKS = 60
_ENOUGH = 2
"""Samples that a window needs for a rate."""


@dataclass(frozen=True)
class Wanted:
    """What to replay. Before `start` as much is read as decides what counts as proven and as released lately.

    With `signals` what should have fired by itself is judged too. `model` limits it to one.
    """

    start: float
    end: float
    step: float = 1.0
    model: str | None = None
    signals: bool = True


def settings_of(policy_file: Path, prometheus_url: str | None = None, http_file: Path | None = None) -> Settings:
    """The policy without any secret, which nobody needs to look back. ConfigError lists every problem.

    Another Prometheus is never shown the password or token for the policy's; `http_file` has its own.
    """
    policy = load(policy_file, Policy)
    if prometheus_url or http_file:
        http = load_http_config(http_file) if http_file else None
        url = prometheus_url or policy.prometheus_url
        policy = policy.model_copy(update={"prometheus_url": url, "prometheus_http_config": http})
    if policy.prometheus_http_config and not http_file:
        raise_for(str(policy_file), policy.prometheus_http_config.problems("prometheus_http_config"))
    return only_watched(Settings(policy, load_servings(policy.exporters_file), "", b"", Keys()))


def replay(settings: Settings, wanted: Wanted, told: Callable[[str, float], None]) -> list[Finding]:
    """What would have been done about every stretch, in the order of time. NotReplayed, RemoteError."""
    policy, pace = settings.policy, settings.servings.rules.pace
    clock = PastClock(wanted.end)
    prometheus = PastPrometheus(policy.prometheus_url, clock, http=policy.prometheus_http_config)
    try:
        _check(prometheus, wanted, pace)
        longest = max([policy.release_window, *(each.release_window or 0.0 for each in policy.models)])
        before = Span(wanted.start - longest - policy.soak_min, wanted.end, wanted.step, told)
        span = Span(wanted.start, wanted.end, wanted.step, told)
        past = Past(prometheus, clock, before)
        _check_models(settings, past, wanted)
        stretches = _stretches(prometheus, past, span, pace, wanted)
        with journal_of_its_own() as journal:
            rerun = Rerun(settings, prometheus, past, clock, journal, wanted.step, told)
            return rerun.go(stretches, before.start, wanted.end)
    finally:
        prometheus.close()


def _stretches(
    prometheus: PastPrometheus, past: Past, span: Span, pace: Profile, wanted: Wanted
) -> list[Stretch]:  # fmt: skip
    alerts = fired(prometheus, span)
    signals = measured(prometheus, past, span, pace, wanted.model) if wanted.signals else []
    both = told_apart(alerts, signals, parse_duration(pace.window))
    return [each for each in both if wanted.model in (None, each.model_name)]


def _check(prometheus: PastPrometheus, wanted: Wanted, pace: Profile) -> None:
    """NotReplayed when nothing was kept, or too little of it for the windows that the rules look at."""
    if wanted.end <= wanted.start:
        raise NotReplayed("the end of what to replay lies before its start")
    span = f"{math.ceil(wanted.end - wanted.start)}s"
    if not prometheus.instant(f"count(present_over_time({DEFAULT}[{span}]))", wanted.end):
        raise NotReplayed(
            f"Prometheus has no {DEFAULT} of that time: the serving exporter was not scraped then, or it is not kept"
            " for so long (--storage.tsdb.retention.time)"
        )
    step = max((wanted.end - wanted.start) / _LOOKS, 1.0)
    query = f"max(count_over_time({DEFAULT}[{pace.burst}]))"
    counts = sorted(
        n for points in prometheus.series(query, wanted.start, wanted.end, step).values() for _, n in points
    )
    if counts and counts[len(counts) // 2] < _ENOUGH:
        raise NotReplayed(
            f"too coarse: a window of {pace.burst} mostly holds {counts[len(counts) // 2]:g} samples, and needs "
            f"{_ENOUGH}. What was scraped less often than every {pace.interval} or thinned out since cannot be judged,"
            " nor what was recorded at another `rules.profile` than exporters.yml has now"
        )
    record = f"model_version:airbag_tfs_requests:increase{pace.window}"
    if not prometheus.instant(f"count(present_over_time({record}[{span}]))", wanted.end):
        raise NotReplayed(
            f"Prometheus has no {record} of that time: the rules were not there, or at another `rules.profile`"
        )


def _check_models(settings: Settings, past: Past, wanted: Wanted) -> None:
    known = {model for _, model in past.models()}
    if wanted.model is not None and wanted.model not in known:
        problem = Problem(f"model {wanted.model}", "did not serve then", "there: " + ", ".join(sorted(known)))
        raise ConfigError("--model", [problem])
    groups = {group.name for group in settings.servings.servings}
    if not groups & {serving for serving, _ in past.models()}:
        there = ", ".join(sorted({serving for serving, _ in past.models()}))
        raise NotReplayed(f"no serving of exporters.yml was scraped then; in Prometheus: {there}")
