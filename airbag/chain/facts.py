"""What the exporters and the receiver expect of the files between them, and those files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airbag.chain.documents import AlertmanagerFile, PrometheusFile, Rule, RuleFile, RuleGroup, TargetFile
from airbag.serving.groups import Servings

IDENTITY = ("serving", "model_name", "model_version")
"""The labels without which the receiver does not know what an alert is about."""


@dataclass(frozen=True)
class Judged:
    """An alert that the receiver answers.

    `share_max` or `share_min` is the key of a model's expectations that its share is held against, and `samples_min`
    that of the number of samples; one without them rests on a state. One that `is_quick` also looks at the profile's
    burst alone. `records` are the recorded series that the receiver asks Prometheus for.
    """

    share_max: str = ""
    share_min: str = ""
    samples_min: str = ""
    is_quick: bool = False
    records: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Policy:
    """What the receiver is told and what it knows. `url` is where its webhook is, None when nobody said."""

    judged: Mapping[str, Judged]
    actions: frozenset[str]
    webhook_path: str
    prometheus_url: str
    alertmanager_urls: tuple[str, ...]
    release_window: float
    decide_within: float
    watchdog: str = ""
    watchdog_within: float | None = None
    url: str | None = None


@dataclass(frozen=True)
class FastLane:
    """Alerts that an exporter sends to Alertmanager itself: their names, and seconds until it is certain of each."""

    alertmanager_urls: tuple[str, ...]
    labels: Mapping[str, str]
    certain_after: Mapping[str, float]


@dataclass(frozen=True)
class Names:
    """What the files are called in messages."""

    exporters: str = "exporters.yml"
    policy: str = "policy.yml"
    prometheus: str = "prometheus.yml"
    alertmanager: str = "alertmanager.yml"


@dataclass(frozen=True)
class Placed:
    """A rule and where it stands."""

    file: str
    path: str
    group: RuleGroup
    rule: Rule


@dataclass(frozen=True)
class Chain:
    """All of it. A file that could not be read is None; its own problems are told elsewhere.

    `rules` are by the name of their file. `target_files` are, for each pattern of `file_sd_configs` as written, the
    files that it finds. `jobs` says which job of Prometheus brings the series whose names begin so. `traffic` are
    requests a second to one model, and labels too; `resend_delay` is how soon Prometheus sends an alert again.
    `asking` are seconds that the exporter takes to ask about the cause of an alert once it sees the version.
    """

    servings: Servings | None = None
    policy: Policy | None = None
    fast_lane: FastLane | None = None
    prometheus: PrometheusFile | None = None
    rules: Mapping[str, RuleFile] = field(default_factory=dict)
    target_files: Mapping[str, Mapping[str, TargetFile]] = field(default_factory=dict)
    alertmanager: AlertmanagerFile | None = None
    names: Names = Names()
    jobs: Mapping[str, str] = field(default_factory=dict)
    traffic: float = 50.0
    resend_delay: float = 5.0
    asking: Mapping[str, float] = field(default_factory=dict)

    def placed(self) -> list[Placed]:
        """Every rule with its place."""
        return [
            Placed(file, f"groups[{at}].rules[{number}] ({rule.alert or rule.record})", group, rule)
            for file, document in self.rules.items()
            for at, group in enumerate(document.groups)
            for number, rule in enumerate(group.rules)
        ]

    def alerts(self) -> dict[str, Placed]:
        """Alerts by name; several rules may share one, the first stands for them."""
        found: dict[str, Placed] = {}
        for each in self.placed():
            if each.rule.alert:
                found.setdefault(each.rule.alert, each)
        return found

    def records(self) -> dict[str, Rule]:
        """Recorded series by name."""
        return {each.rule.record: each.rule for each in self.placed() if each.rule.record}

    def machine_rules(self) -> list[Placed]:
        """Every rule of an alert that the receiver answers."""
        known = self.policy.judged if self.policy else {}
        return [each for each in self.placed() if each.rule.alert in known]

    def machine_alerts(self) -> dict[str, Placed]:
        """The alerts that the receiver answers, by name."""
        return {each.rule.alert: each for each in reversed(self.machine_rules()) if each.rule.alert}
