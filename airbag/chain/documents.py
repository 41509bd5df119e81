"""The part of Prometheus' and Alertmanager's own files that the chain rests on; all else in them is left to promtool
and amtool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel, model_validator

from airbag.chain.durations import PromDuration


def _text(value: object) -> object:
    """Go reads a bare number or boolean as the text that was written."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


Text = Annotated[str, BeforeValidator(_text)]
Labels = Mapping[str, Text]
_OWN_SD = {"static_configs", "file_sd_configs"}


class Open(BaseModel):
    """Other keys are allowed; a key without a value counts as left out, as it does for Go."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty_keys(cls, given: Any) -> Any:  # Any: whatever the file holds
        return {key: each for key, each in given.items() if each is not None} if isinstance(given, dict) else given


class TargetGroup(Open):
    """Targets that share labels."""

    targets: tuple[Text, ...] = ()
    labels: Labels = {}


class TargetFile(RootModel[tuple[TargetGroup, ...]]):
    """A file of targets."""


class FileSd(Open):
    """`file_sd_configs`: paths, the last part of which may be a pattern."""

    files: tuple[str, ...] = ()


class Discovering(Open):
    """Who finds targets. `elsewhere` are the keys of other kinds of discovery, which cannot be followed from here."""

    static_configs: tuple[TargetGroup, ...] = ()
    file_sd_configs: tuple[FileSd, ...] = ()
    elsewhere: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _note_the_others(cls, given: Any) -> Any:  # Any: whatever the file holds
        if not isinstance(given, dict):
            return given
        others = [key for key in given if str(key).endswith("_sd_configs") and key not in _OWN_SD]
        return {**given, "elsewhere": others}


class ScrapeConfig(Discovering):
    """One job."""

    job_name: Text
    scrape_interval: PromDuration | None = None
    scrape_timeout: PromDuration | None = None
    sample_limit: int = 0


class AlertmanagerConfig(Discovering):
    """Alertmanagers that alerts are sent to."""


class Alerting(Open):
    """The section `alerting`."""

    alertmanagers: tuple[AlertmanagerConfig, ...] = ()
    alert_relabel_configs: tuple[Mapping[str, object], ...] = ()


class Global(Open):
    """The section `global`, with Prometheus' own defaults."""

    scrape_interval: PromDuration = 60.0
    evaluation_interval: PromDuration = 60.0
    scrape_timeout: PromDuration | None = None
    external_labels: Labels = {}


class PrometheusFile(Open):
    """prometheus.yml."""

    global_: Global = Field(default=Global(), alias="global")
    rule_files: tuple[str, ...] = ()
    alerting: Alerting = Alerting()
    scrape_configs: tuple[ScrapeConfig, ...] = ()

    def interval(self, job: ScrapeConfig) -> float:
        """Seconds between two scrapes of a job."""
        return job.scrape_interval or self.global_.scrape_interval


class Rule(Open):
    """A record or an alert."""

    alert: Text | None = None
    record: Text | None = None
    expr: Text
    for_: PromDuration = Field(default=0.0, alias="for")
    labels: Labels = {}
    annotations: Labels = {}


class RuleGroup(Open):
    """Rules that are evaluated one after the other."""

    name: Text
    interval: PromDuration | None = None
    rules: tuple[Rule, ...] = ()


class RuleFile(Open):
    """A file of rules."""

    groups: tuple[RuleGroup, ...] = ()


class Route(Open):
    """A node of the routing tree. What is None comes from its parent."""

    receiver: Text | None = None
    matchers: tuple[str, ...] = ()
    match: Labels = {}
    match_re: Labels = {}
    continue_: bool = Field(default=False, alias="continue")
    group_by: tuple[Text, ...] | None = None
    group_wait: PromDuration | None = None
    group_interval: PromDuration | None = None
    repeat_interval: PromDuration | None = None
    mute_time_intervals: tuple[Text, ...] = ()
    active_time_intervals: tuple[Text, ...] = ()
    routes: tuple[Route, ...] = ()


class Authorization(Open):
    """`authorization` of a client."""

    type: Text = "Bearer"
    credentials: Text | None = None
    credentials_file: str | None = None


class HttpConfig(Open):
    """How Alertmanager calls. The two bearer keys are those of old."""

    follow_redirects: bool = True
    authorization: Authorization | None = None
    bearer_token: Text | None = None
    bearer_token_file: str | None = None

    @property
    def is_authorized(self) -> bool:
        """Whether it sends a bearer token."""
        token = self.authorization and (self.authorization.credentials or self.authorization.credentials_file)
        is_bearer = self.authorization is not None and self.authorization.type.lower() == "bearer"
        return bool((token and is_bearer) or self.bearer_token or self.bearer_token_file)

    @property
    def secret_file(self) -> str | None:
        """Where the token lies, when that is a file."""
        return (self.authorization and self.authorization.credentials_file) or self.bearer_token_file


class Webhook(Open):
    """One webhook of a receiver."""

    url: Text = ""
    url_file: str | None = None
    send_resolved: bool = True
    max_alerts: int = 0
    http_config: HttpConfig | None = None


class Receiver(Open):
    """Who is told. `others` are the keys of its other channels."""

    name: Text
    webhook_configs: tuple[Webhook, ...] = ()
    others: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _note_the_others(cls, given: Any) -> Any:  # Any: whatever the file holds
        if not isinstance(given, dict):
            return given
        others = [key for key, each in given.items() if str(key).endswith("_configs") and each]
        return {**given, "others": [key for key in others if key != "webhook_configs"]}


class InhibitRule(Open):
    """While a source fires, targets with the same `equal` labels are held back."""

    source_matchers: tuple[str, ...] = ()
    source_match: Labels = {}
    source_match_re: Labels = {}
    target_matchers: tuple[str, ...] = ()
    target_match: Labels = {}
    target_match_re: Labels = {}
    equal: tuple[Text, ...] = ()


class AlertmanagerGlobal(Open):
    """The section `global` of alertmanager.yml."""

    http_config: HttpConfig = HttpConfig()


class AlertmanagerFile(Open):
    """alertmanager.yml."""

    global_: AlertmanagerGlobal = Field(default=AlertmanagerGlobal(), alias="global")
    route: Route
    receivers: tuple[Receiver, ...] = ()
    inhibit_rules: tuple[InhibitRule, ...] = ()
