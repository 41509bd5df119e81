"""Alertmanager's webhook message: read strictly where we act on it, open where Alertmanager may grow."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from airbag.serving.groups import Servings
from airbag_rollback.records import Suspect
from airbag_rollback.signals import SIGNALS

WATCHDOG = "AirbagWatchdog"
"""The alert that always fires. It asks for nothing; that it comes is the news."""

BODY_LIMIT = 4 * 1024 * 1024


def _written(moment: object) -> object:
    if not (isinstance(moment, str) and "T" in moment.upper()):
        raise ValueError("should be a time as RFC 3339 writes it")
    return moment


Moment = Annotated[AwareDatetime, BeforeValidator(_written)]


class _Open(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Alert(_Open):
    """One alert. Its own `status` counts; the message's is wrong after truncation."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    startsAt: Moment | None = None  # noqa: N815 - Alertmanager's spelling

    @property
    def is_watchdog(self) -> bool:
        """Whether it is the one that always fires."""
        return self.labels.get("alertname") == WATCHDOG


class Message(_Open):
    """The part of the message that is used."""

    version: Literal["4"]
    alerts: tuple[Alert, ...]
    truncatedAlerts: Annotated[int, Field(ge=0, strict=True)] = 0  # noqa: N815 - Alertmanager's spelling

    @property
    def has_watchdog(self) -> bool:
        """Whether the watchdog fires in it: one that resolves says that nobody keeps it up any more."""
        return any(alert.is_watchdog and alert.status == "firing" for alert in self.alerts)

    @property
    def is_only_watchdog(self) -> bool:
        """Whether nothing in it asks for anything."""
        return bool(self.alerts) and all(alert.is_watchdog for alert in self.alerts)


class NotAMessage(ValueError):
    """The body is no Alertmanager message of version 4."""


def read(body: bytes) -> Message:
    """The message in a body; NotAMessage, which never quotes the body, when there is none."""
    try:
        return Message.model_validate_json(body)
    except ValidationError as error:
        places = ", ".join(
            sorted({".".join(map(str, each["loc"])) or "the body" for each in error.errors(include_input=False)})[:5]
        )
        raise NotAMessage(f"not an Alertmanager message of version 4: see {places}") from None


def suspect(alert: Alert, servings: Servings) -> Suspect | str:
    """The version that the alert calls bad, or why it starts nothing. Nothing in the alert is believed beyond names."""
    labels = alert.labels
    if alert.status != "firing":
        return "resolved: starts nothing"
    if alert.is_watchdog:
        return "watchdog: the way works"
    if labels.get("airbag_action") != "rollback":
        return "refused: no label airbag_action=rollback"
    missing = [name for name in ("alertname", "serving", "model_name", "model_version") if not labels.get(name)]
    if missing:
        return f"refused: without the label {', '.join(missing)}"
    if labels["alertname"] not in SIGNALS:
        return f"refused: no machine answers the alert {labels['alertname'][:100]!r}"
    version = labels["model_version"]
    if not (version.isascii() and version.isdigit() and len(version) <= 18):
        return f"refused: {version[:100]!r} is no version number"
    group = servings.group(labels["serving"])
    if group is None or group.model(labels["model_name"]) is None:
        return f"refused: exporters.yml has no model {labels['model_name'][:100]!r} on {labels['serving'][:100]!r}"
    return Suspect(group.name, labels["model_name"], int(version), labels["alertname"], _epoch(alert.startsAt))


def _epoch(at: datetime | None) -> float | None:
    return at.timestamp() if at else None
