"""The alerts that the exporter sends itself: the ones that Prometheus' rules would make, with exactly their labels.

Alertmanager takes alerts with the same labels for one, so whoever comes second changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

_RUNBOOKS = "prometheus/runbooks"
_SHOWN = 3
_SUMMARIES = {
    "AirbagProbeFailed": "A model version answers golden requests wrong.",
    "AirbagVersionLoadFailed": "A released model version cannot be loaded.",
}


@dataclass(frozen=True)
class Subject:
    """What an alert is about; two of the same subject are one alert."""

    alertname: str
    serving: str
    model: str
    version: int

    def labels(self) -> dict[str, str]:
        """The label set of the rule of that name."""
        return {
            "alertname": self.alertname, "severity": "critical", "airbag_action": "rollback",
            "serving": self.serving, "model_name": self.model, "model_version": str(self.version),
        }  # fmt: skip


@dataclass(frozen=True)
class Alert:
    """One alert. `since` is when its cause was first seen, in seconds since the epoch."""

    subject: Subject
    since: float
    description: str


def probe_failed(
    serving: str, target: str, model: str, version: int, failing: Mapping[str, tuple[str, float]]
) -> Alert:
    """`failing`: for each golden request that fails what was wrong, and since when."""
    shown = [f"{name} ({text})" for name, (text, _) in sorted(failing.items())[:_SHOWN]]
    more = [f"{len(failing) - _SHOWN} more"] if len(failing) > _SHOWN else []
    return Alert(
        Subject("AirbagProbeFailed", serving, model, version),
        min(since for _, since in failing.values()),
        f"Version {version} of {model} on {serving} fails golden requests on {target}: {'; '.join([*shown, *more])}. "
        "If the version before answered them right, Airbag puts it back; otherwise it changes nothing.",
    )


def load_failed(serving: str, target: str, model: str, version: int, error: str, since: float) -> Alert:
    """`error`: the server's own words."""
    return Alert(
        Subject("AirbagVersionLoadFailed", serving, model, version),
        since,
        f"{serving} is told to serve version {version} of {model} and cannot load it ({error} on {target}). Airbag "
        "takes it out of models.config, so that a restart does not stumble over it; if no good version is known, it "
        "calls a person.",
    )


def message(alert: Alert, more: Mapping[str, str], ends_at: float) -> dict[str, object]:
    """As Alertmanager's API takes it. `ends_at` in the past resolves the alert."""
    name = alert.subject.alertname
    return {
        "labels": {**more, **alert.subject.labels()},
        "annotations": {
            "summary": _SUMMARIES[name],
            "description": alert.description,
            "runbook_url": f"{_RUNBOOKS}/{name}.md",
        },
        "startsAt": _stamp(alert.since),
        "endsAt": _stamp(ends_at),
    }


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
