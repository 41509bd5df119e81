"""What orders must look like, and what answers look like. Times are seconds since the epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from airbag_rollback.engine.decide import Mode
from airbag_rollback.journal.reports import Attached
from airbag_rollback.records import Action, Event

LARGEST = 10**18
"""The largest number that is taken: a version has at most 18 digits, and SQLite and JSON hold it exactly."""

Text = Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.-]+$")]
Scope = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^(\*|[A-Za-z0-9_.-]+)$")]
ActionId = Annotated[int, Path(ge=1, le=LARGEST)]


def _whole(number: object) -> object:
    return int(number) if isinstance(number, float) and number.is_integer() else number  # JSON knows no difference


Version = Annotated[int, Field(ge=0, le=LARGEST), BeforeValidator(_whole)]
InPath = Annotated[str, Path(max_length=100)]
After = Annotated[int, Query(ge=0, le=LARGEST)]
Limit = Annotated[int, Query(ge=1, le=1000)]


class Order(BaseModel):
    """Base of every order: unknown keys are refused, nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Because(Order):
    """Why, for the audit."""

    because: Text = ""


class Given(Order):
    """Why, for the audit; somebody will ask."""

    because: Reason


class RollbackOrder(Order):
    """Go back to `target_version`, or to the one that Airbag would choose.

    `serving` may be left out when only one has the model.
    """

    serving: Name | None = None
    model_name: Name
    target_version: Version | None = None
    because: Text = ""


class DrillOrder(Order):
    """Go the whole way of a rollback and touch nothing; with `shadow`, go back on the shadow model and undo it."""

    serving: Name | None = None
    model_name: Name
    because: Text = ""
    shadow: bool = False


class PauseOrder(Order):
    """Let nothing be rolled back by itself, `*` for all; for so many seconds, or until it is resumed."""

    serving: Scope = "*"
    model_name: Scope = "*"
    seconds: Annotated[float, Field(gt=0, le=10 * 365 * 86_400.0, strict=False)] | None = None
    because: Reason


class Taken(BaseModel):
    """The webhook's answer."""

    detail: str


class Actions(BaseModel):
    """Actions, the newest first."""

    actions: list[Action]


@dataclass(frozen=True)
class Timeline(Action):
    """One action, every state that it went through, and what is said of the report that was attached to it, if any."""

    events: tuple[Event, ...] = ()
    report: Attached | None = None


class DrillStage(BaseModel):
    """A part of a drill's way; `at` is null while it is not reached. `look` is for when it fails."""

    name: str
    at: float | None
    seconds: float | None
    look: str


class Drill(BaseModel):
    """How far a drill has come. `failed_at` is the stage that one which ended did not pass."""

    id: int
    serving: str
    model_name: str
    target_version: int | None
    state: str
    reason: str
    text: str
    ordered_at: float
    stages: list[DrillStage]
    failed_at: DrillStage | None


class ServingModel(BaseModel):
    """What the ledger saw serving last; `wanted` is null when the configuration names no versions."""

    serving: str
    model_name: str
    epoch: int
    serves: list[int]
    wanted: list[int] | None


class Serving(BaseModel):
    """The mode in force and every model that was seen."""

    mode: Mode
    models: list[ServingModel]


class PauseView(BaseModel):
    """A pause that holds; `until` is null when it holds until somebody ends it."""

    serving: str
    model_name: str
    since: float
    until: float | None
    by: str
    because: str


class Pauses(BaseModel):
    """Every pause that holds, oldest first."""

    pauses: list[PauseView]


class OpenAction(BaseModel):
    """An action that has not ended, and what it waits for."""

    id: int
    state: str
    reason: str
    text: str
    deadline: float


class ModelView(BaseModel):
    """One configured model. `serves` is what the ledger saw last; `paused` is by whom and why, or empty."""

    serving: str
    model_name: str
    mode: Mode
    landing: str
    paused: str
    epoch: int
    serves: list[int]
    wanted: list[int] | None
    open_actions: list[OpenAction]


class Models(BaseModel):
    """Every configured model, what holds for all of them, and who leads (`fence` grows with every leader)."""

    mode: Mode
    not_acting_since: float | None
    fence: int
    journal_error: str
    models: list[ModelView]


class VersionView(BaseModel):
    """One version. `refused` says why one cannot go back to it; it is empty for one that can be gone back to.

    `loaded_on` are the servers that have it loaded. `soak_seconds` is how long it served in all. `requests` is what it
    answered while anybody counted. `verdict` is good, bad or unknown, as it was last seen at work.
    """

    version: int
    serves: bool
    wanted: bool
    loaded_on: list[str]
    on_disk: bool | None
    soak_seconds: float
    last_until: float | None
    requests: float | None
    verdict: str
    checksum: str
    rolled_back: bool
    quarantined: str
    is_target: bool
    refused: str


class Versions(BaseModel):
    """Every version that is known, newest first. `target` is where a rollback would go now, null for nowhere."""

    serving: str
    model_name: str
    serves: list[int]
    target: int | None
    unreachable: str
    versions: list[VersionView]


class SignalView(BaseModel):
    """What would be done if this alert fired now. `kind` is suppress, wait, hold, ask, page or plan.

    `verdict` is what the version that serves measures: bad, good, no data, not enough data, or unknown.
    """

    alertname: str
    kind: str
    verdict: str
    reason: str
    text: str
    target_version: int | None
    until: float | None
    evidence: list[dict[str, Any]]  # Any: JSON


class GuardView(BaseModel):
    """A guard that would hold a rollback back now. `until` is null when only a person can lift it."""

    reason: str
    text: str
    until: float | None


class Explanation(BaseModel):
    """What Airbag would do with this model now, and why not otherwise. Nothing was changed by asking."""

    serving: str
    model_name: str
    mode: Mode
    landing: str
    suspect: int | None
    released_at: float | None
    serves: list[int]
    wanted: list[int] | None
    unreachable: str
    target_version: int | None
    refused: dict[int, str]
    guards: list[GuardView]
    open_action: OpenAction | None
    signals: list[SignalView]
    text: str


class AuditRecord(BaseModel):
    """One record of the audit. `text` is its canonical JSON, over which `mac` was made."""

    seq: int
    at: float
    kind: str
    action_id: int | None
    text: str
    mac: str


class AuditPart(BaseModel):
    """Records after a number, and number and MAC of the newest of all."""

    head_seq: int
    head_mac: str
    records: list[AuditRecord]
