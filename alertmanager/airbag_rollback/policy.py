"""policy.yml: what the receiver may do. It points to exporters.yml for the servers and their models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, model_validator

from airbag.config import Duration, LocalPath, Secret, Section, written_as
from airbag.errors import Problem
from airbag.http_config import HttpConfig
from airbag.serving.groups import Name
from airbag_rollback.engine.decide import Mode
from airbag_rollback.engine.guards import Freeze, Limits
from airbag_rollback.engine.world import WorldLimits
from airbag_rollback.place import PlaceText

# A user name or password in an address would show up in messages; `@` is refused for that.
Url = Annotated[str, written_as(r"https?://[^\s@/?#]+(/[^\s@?#]*)?", "http(s)://HOST:PORT without user or query")]
Wait = Annotated[Duration, Field(gt=0)]
WaitOrOff = Annotated[Duration, Field(ge=0)]
Role = Literal["alertmanager", "viewer", "operator", "admin"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

BUILT_IN = ("serving-version", "serving-label", "quarantine-directory")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _off(value: object) -> object:
    return "off" if value is False else value  # YAML reads a bare `off` as false


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError('is no time zone known here; write one such as "UTC" or "Europe/Berlin"') from error
    return name


def _moment(value: object) -> object:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


ModeText = Annotated[Mode, BeforeValidator(_off)]
Clock = Annotated[str, written_as(r"([01]\d|2[0-3]):[0-5]\d", "HH:MM")]
Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
Zone = Annotated[str, AfterValidator(_zone)]


class FreezeTime(Section):
    """A time in which nothing moves by itself: once from `from` to `to`, or weekly on `weekdays`."""

    name: Name
    start: Annotated[Moment | None, Field(alias="from")] = None
    end: Annotated[Moment | None, Field(alias="to")] = None
    weekdays: tuple[Weekday, ...] = ()
    opens: Clock = "00:00"
    closes: Clock = "00:00"
    timezone: Zone = "UTC"

    @model_validator(mode="after")
    def _is_one_of_two_kinds(self) -> Self:
        if (self.start is None) != (self.end is None) or bool(self.weekdays) == (self.start is not None):
            raise ValueError("needs either `from` and `to`, or `weekdays`")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError("ends before it begins")
        return self

    @property
    def freeze(self) -> Freeze:
        """The same as a value of the engine."""
        days = frozenset(_DAYS.index(day) for day in self.weekdays)
        start, end = (each.timestamp() if each else None for each in (self.start, self.end))
        opens, closes = time.fromisoformat(self.opens), time.fromisoformat(self.closes)
        return Freeze(self.name, start, end, days, opens, closes, self.timezone)


class Allowed(Section):
    """At most `effects` within `within` seconds."""

    effects: Annotated[int, Field(ge=1)]
    within: Wait


class Guards(Section):
    """What may hold a rollback back. A cool-down of 0s, and a budget or breaker of null, is none."""

    cool_down: WaitOrOff = 300.0
    budget: Allowed | None = Allowed.model_construct(effects=3, within=3600.0)
    breaker: Allowed | None = Allowed.model_construct(effects=5, within=900.0)
    freeze: tuple[FreezeTime, ...] = ()

    @property
    def limits(self) -> Limits:
        """The same as a value of the engine."""
        budget, breaker = self.budget, self.breaker
        return Limits(
            self.cool_down, budget.effects if budget else 0, budget.within if budget else 0.0,
            breaker.effects if breaker else 0, breaker.within if breaker else 0.0,
        )  # fmt: skip

    @property
    def freezes(self) -> tuple[Freeze, ...]:
        """The same as values of the engine."""
        return tuple(each.freeze for each in self.freeze)


class WorldSection(Section):
    """From when on the world is the likelier cause of trouble; see `WorldLimits`. 0 turns a test off."""

    others_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    good_for: WaitOrOff = 600.0
    load_ratio: Annotated[float, Field(ge=0)] = 2.0
    inputs_ks: Annotated[float, Field(ge=0, le=1)] = 0.2

    @property
    def limits(self) -> WorldLimits:
        """The same as a value of the engine."""
        return WorldLimits(self.others_share, self.good_for, self.load_ratio, self.inputs_ks)


class ScriptLanding(Section):
    """An executable that acts. `environment` is added to its clean one. Without `restores` no target is chosen."""

    script: LocalPath
    timeout: Wait = 60.0
    grace: Wait = 5.0
    restores: bool = True
    environment: Mapping[Annotated[str, written_as(r"[A-Z_][A-Z0-9_]*", "capital letters, digits and `_`")], str] = {}


class ModelRule(Section):
    """What differs for some models or their alerts. Names may hold `*` and `?`. The first match counts."""

    serving: str = "*"
    model: str = "*"
    alerts: tuple[str, ...] = ()
    mode: Annotated[ModeText | None, Field()] = None
    landing: str | None = None
    label: str | None = None
    release_window: Wait | None = None
    soak_min: Wait | None = None
    attempts_max: Annotated[int, Field(ge=1)] | None = None
    not_before: Annotated[int, Field(ge=0)] = 0

    def matches(self, serving: str, model: str, alertname: str) -> bool:
        """Whether it speaks of this."""
        named = fnmatchcase(serving, self.serving) and fnmatchcase(model, self.model)
        return named and (not self.alerts or alertname in self.alerts)


class TokenAccess(Section):
    """A bearer token and what it may do."""

    name: Name
    role: Role
    token: Secret


class UserAccess(Section):
    """A user with a password; the secret is its bcrypt hash."""

    name: Name
    role: Role
    password_hash: Secret


class CertificateAccess(Section):
    """A client certificate, known by its common name, and what it may do. Needs TLS with client certificates."""

    name: str
    role: Role


class Access(Section):
    """Who may do what over HTTP. A role may all that the ones before it may: viewer, operator, admin."""

    tokens: tuple[TokenAccess, ...] = ()
    users: tuple[UserAccess, ...] = ()
    certificates: tuple[CertificateAccess, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [each.name for each in self.tokens] + [each.name for each in self.users]
        names += [each.name for each in self.certificates]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            raise ValueError(f"has a name more than once, and the audit could not tell who it was: {', '.join(double)}")
        return self


class ShadowModel(Section):
    """A model that nobody's traffic rests on: real drills are made on it."""

    serving: Name
    model: str


class DrillSection(Section):
    """Drills by themselves: one on `model` of `serving` as often as `every`; `shadow` allows real ones."""

    every: WaitOrOff = 0.0
    serving: str | None = None
    model: str | None = None
    shadow: ShadowModel | None = None

    @model_validator(mode="after")
    def _has_a_model_to_drill_on(self) -> Self:
        if bool(self.every) != (self.model is not None):
            raise ValueError("needs both `every` and `model`, the one to drill on, or neither")
        return self


class Keep(Section):
    """How long the journal keeps things."""

    deliveries: Wait = 30 * 86_400.0
    actions: Wait = 400 * 86_400.0


@dataclass(frozen=True)
class Rule:
    """What holds for one alert on one model, put together from the file."""

    mode: Mode
    landing: str
    label: str | None
    release_window: float
    soak_min: float
    attempts_max: int
    not_before: int


class Policy(Section):
    """The file. Durations are in seconds once read; of `watchdog_within` and `paused_max` 0 turns the watch off."""

    exporters_file: LocalPath
    prometheus_url: Url
    prometheus_http_config: HttpConfig | None = None
    alertmanager_urls: Annotated[tuple[Url, ...], Field(min_length=1)]
    alertmanager_http_config: HttpConfig | None = None
    webhook_token: Secret
    journal: PlaceText
    audit_key: Secret
    access: Access = Access()

    mode: ModeText = "observe"
    landing: str = "serving-version"
    release_window: Wait = 3600.0
    soak_min: Wait = 600.0
    requests_min: Annotated[float, Field(ge=0)] = 0.0
    attempts_max: Annotated[int, Field(ge=1)] = 2
    guards: Guards = Guards()
    world: WorldSection = WorldSection()
    models: tuple[ModelRule, ...] = ()
    landings: Mapping[str, ScriptLanding] = {}

    decide_within: Wait = 30.0
    blocked_within: Wait = 3600.0
    approve_within: Wait = 1800.0
    switch_within: Wait = 60.0
    stable_for: Wait = 2.0
    recover_within: Wait = 60.0
    watchdog_within: WaitOrOff = 180.0
    paused_max: WaitOrOff = 86_400.0
    keep: Keep = Keep()
    drill: DrillSection = DrillSection()

    @model_validator(mode="after")
    def _a_switch_can_become_stable(self) -> Self:
        if self.stable_for >= self.switch_within:
            raise ValueError("stable_for must be shorter than switch_within, or no switch ever counts as done")
        return self

    @model_validator(mode="after")
    def _landings_exist(self) -> Self:
        known = {*BUILT_IN, *self.landings}
        taken = sorted(set(BUILT_IN) & set(self.landings))
        if taken:
            raise ValueError(f"landings: {', '.join(taken)} is built in; give the script another name")
        named = {"landing": self.landing} | {f"models[{n}].landing": r.landing for n, r in enumerate(self.models)}
        wrong = [f"{where}: {name!r}" for where, name in named.items() if name is not None and name not in known]
        if wrong:
            raise ValueError(f"{'; '.join(wrong)} is no landing; there are {', '.join(sorted(known))}")
        return self

    def http_problems(self) -> list[Problem]:
        """All that is wrong with the files behind `prometheus_http_config` and `alertmanager_http_config`."""
        named = {
            "prometheus_http_config": self.prometheus_http_config,
            "alertmanager_http_config": self.alertmanager_http_config,
        }
        return [problem for where, each in named.items() if each for problem in each.problems(where)]

    def rule(self, serving: str, model: str, alertname: str) -> Rule:
        """What holds for this alert on this model: the first rule of `models` that matches, and the top level."""
        own = next((each for each in self.models if each.matches(serving, model, alertname)), ModelRule())
        mode = self.mode if own.mode is None else own.mode
        return Rule(
            mode=mode, landing=own.landing or self.landing, label=own.label,
            release_window=own.release_window or self.release_window, soak_min=own.soak_min or self.soak_min,
            attempts_max=own.attempts_max or self.attempts_max, not_before=own.not_before,
        )  # fmt: skip

    def longest_step(self, landing: str) -> float:
        """Seconds that one step may take by itself, beyond what `switch_within` is for: a script's own limits."""
        script = self.landings.get(landing)
        return script.timeout + script.grace if script else 0.0

    def restores(self, landing: str) -> bool:
        """Whether that landing goes back to an earlier version."""
        return landing not in self.landings or self.landings[landing].restores
