"""Prediction events in the intake's NDJSON, as rows: what a version answered in a window of time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from airbag.errors import ConfigError, Problem
from airbag_exporters.quality.reference.chunk import Table
from airbag_exporters.quality.reference.tables.ndjson import NdjsonTable, opened

SCORE, PREDICTED, ACTUAL = "@score", "@predicted", "@actual"
"""The columns that are not features; no feature can be meant by these names."""


class _Event(msgspec.Struct, frozen=True):
    model_name: str
    model_version: int | str
    features: dict[str, Any] | list[Any] | None = None  # Any: numbers and texts, checked as columns
    score: float | None = None
    predicted: float | str | None = None
    actual: float | str | None = None
    timestamp: float | None = None


@dataclass(frozen=True)
class Chosen:
    """Which events count. `begin` is included, `end` is not; an event without time is in no window.

    `order` names the features of events that give them as a list.
    """

    model: str
    version: str | None = None
    begin: float = -math.inf
    end: float = math.inf
    order: Sequence[str] = ()

    @property
    def _bounded(self) -> bool:
        return self.begin > -math.inf or self.end < math.inf

    def row(self, event: _Event) -> Mapping[str, Any] | None:  # Any: as _Event.features
        """Its columns, or None when it is another's or lies outside."""
        if event.model_name != self.model or self.version not in (None, str(event.model_version)):
            return None
        if self._bounded and (event.timestamp is None or not self.begin <= event.timestamp < self.end):
            return None
        return {**self._features(event.features), SCORE: event.score, PREDICTED: event.predicted, ACTUAL: event.actual}

    def _features(self, given: dict[str, Any] | list[Any] | None) -> Mapping[str, Any]:  # Any: as _Event.features
        if not isinstance(given, list):
            return given or {}
        if len(given) != len(self.order):
            raise ValueError(
                f"gives {len(given)} features without names, and --features names {len(self.order)} in their order"
            )
        return dict(zip(self.order, given, strict=True))


def open_events(paths: Sequence[Path], chosen: Chosen) -> list[Table]:
    """The files; ConfigError lists all that cannot be opened."""
    decoder = msgspec.json.Decoder(_Event)
    found: list[Table] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            found.append(opened(NdjsonTable(path, lambda line: chosen.row(decoder.decode(line)))))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError("events", problems)
    return found
