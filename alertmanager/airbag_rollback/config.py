"""policy.yml: what the receiver may do. It points to exporters.yml for the servers and their models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from airbag.config import Duration, LocalPath, Secret, Section, load, written_as
from airbag.errors import ConfigError, Problem
from airbag.serving.groups import Servings, load_servings
from airbag_rollback.engine.decide import Mode

# A user name or password in an address would show up in messages; `@` is refused for that.
Url = Annotated[str, written_as(r"https?://[^\s@/?#]+(/[^\s@?#]*)?", "http(s)://HOST:PORT without user or query")]
Wait = Annotated[Duration, Field(gt=0)]
WaitOrOff = Annotated[Duration, Field(ge=0)]


def _off(value: object) -> object:
    return "off" if value is False else value  # YAML reads a bare `off` as false


class Policy(Section):
    """The file. Durations are in seconds once read; of `watchdog_within` and `paused_max` 0 turns the watch off."""

    exporters_file: LocalPath
    prometheus_url: Url
    alertmanager_urls: Annotated[tuple[Url, ...], Field(min_length=1)]
    webhook_token: Secret
    journal: LocalPath
    mode: Annotated[Mode, BeforeValidator(_off)] = "observe"
    release_window: Wait = 3600.0
    soak_min: Wait = 600.0
    decide_within: Wait = 30.0
    switch_within: Wait = 60.0
    stable_for: Wait = 2.0
    recover_within: Wait = 60.0
    watchdog_within: WaitOrOff = 180.0
    paused_max: WaitOrOff = 86_400.0

    @model_validator(mode="after")
    def _a_switch_can_become_stable(self) -> Self:
        if self.stable_for >= self.switch_within:
            raise ValueError("stable_for must be shorter than switch_within, or no switch ever counts as done")
        return self


@dataclass(frozen=True)
class Settings:
    """Everything the receiver needs from its files. `token` never goes into a message or a log."""

    policy: Policy
    servings: Servings
    token: str

    def __repr__(self) -> str:
        return f"Settings({self.policy!r})"


def load_settings(path: Path) -> Settings:
    """Read policy.yml and what it points to; ConfigError lists the problems of all of them."""
    policy = load(path, Policy)
    problems: list[Problem] = []
    token, servings = "", None
    try:
        token = policy.webhook_token.read()
    except ConfigError as error:
        problems += [Problem(f"webhook_token: {each.path}", each.what, each.remedy) for each in error.problems]
    try:
        servings = load_servings(policy.exporters_file)
    except ConfigError as error:
        problems += [Problem(f"exporters_file: {each.path}", each.what, each.remedy) for each in error.problems]
    if servings is None or problems:
        raise ConfigError(str(path), problems)
    return Settings(policy, servings, token)
