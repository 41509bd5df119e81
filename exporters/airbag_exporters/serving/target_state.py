"""What a poller knows about its server, as everybody else may read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airbag.serving.groups import ModelEntry
from airbag_exporters.serving.look import Defaults, Statuses
from airbag_exporters.serving.page import Chunks


@dataclass(frozen=True)
class TargetState:
    """What is known about one server, by model name.

    `polled_at` (seconds since the epoch) is None before the first poll ended. `defaults` says who answers now,
    `last_defaults` who did when somebody last did, `previous_defaults` who did before that one. `lines` are the sample
    lines of all that.
    """

    polled_at: float | None = None
    duration: float = 0.0
    parts: Mapping[str, bool] = field(default_factory=dict)
    models: tuple[ModelEntry, ...] = ()
    versions: Statuses = field(default_factory=dict)
    defaults: Defaults = field(default_factory=dict)
    last_defaults: Mapping[str, int] = field(default_factory=dict)
    previous_defaults: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[tuple[str, str], int | None] = field(default_factory=dict)
    switches: Mapping[str, int] = field(default_factory=dict)
    lines: Chunks = field(default_factory=dict)
