"""Predictions from events, be they lines or items of an array."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec
import numpy as np

from airbag.serving.quality import FeatureKind
from airbag_exporters.quality.columns import BadBatch, Owner, Predictions
from airbag_exporters.quality.decode.columns import Rows
from airbag_exporters.quality.decode.decoded import Decoded
from airbag_exporters.quality.decode.events import BAD, FIELDS, Prediction
from airbag_exporters.quality.decode.features import Values
from airbag_exporters.quality.decode.judge import judged
from airbag_exporters.quality.decode.limits import Budget, check_owners
from airbag_exporters.quality.decode.lines import Chunk, Events
from airbag_exporters.quality.decode.owners import Whose, known
from airbag_exporters.quality.decode.problems import Problems
from airbag_exporters.quality.decode.reading import Reader
from airbag_exporters.quality.decode.rows import Builder
from airbag_exporters.quality.decode.shapes import NAMES_MAX, Shape, can_be_fields, shape
from airbag_exporters.quality.models import Models

_SHAPES_MAX = 3
"""How often one batch may ask for another shape: each takes a millisecond, and a hostile one could ask for ever."""
_PLAIN = Reader(Prediction)


def decode_events(events: Events, models: Models, now: float) -> Decoded:
    """Every event; BadBatch with the first ten problems."""
    batch = _Batch(events, models)
    for chunk in events.chunks():
        batch.take(chunk)
    return batch.decoded(now)


class _Batch:
    """One batch while it is read."""

    def __init__(self, events: Events, models: Models) -> None:
        self._events = events
        self._models = models
        self._problems = Problems(events.place)
        self._whose: dict[tuple[str | None, str, int | str], Builder | None] = {}
        self._builders: dict[Owner, Builder] = {}
        self._kinds: dict[str, FeatureKind] = {}
        self._budget = Budget()
        self._shapes = 0
        self._shape = self._first_shape()
        self._rows = 0

    def take(self, chunk: Chunk) -> None:
        """Decode a chunk and add its events to the builders of their owners."""
        shape = self._shape
        decoded = self._events_of(chunk)
        if not decoded:
            return
        columns = zip(*map(msgspec.structs.astuple, decoded), strict=True)
        fields: dict[str, Values] = dict(zip(FIELDS, columns, strict=True))
        rows = np.arange(self._rows, self._rows + len(decoded))
        self._rows += len(decoded)
        whose = list(zip(fields["serving"], fields["model_name"], fields["model_version"], strict=True))
        if whose.count(whose[0]) == len(whose):
            self._add(self._builder_of(whose[0], int(rows[0])), rows, fields, shape)
            return
        groups: dict[Builder | None, list[int]] = {}  # several names may be one owner, whose rows stay in order
        for row, each in enumerate(whose):
            groups.setdefault(self._builder_of(each, int(rows[row])), []).append(row)
        for builder, chosen in groups.items():
            some: dict[str, Values] = {name: [values[row] for row in chosen] for name, values in fields.items()}
            self._add(builder, rows[chosen], some, shape)

    def decoded(self, now: float) -> Decoded:
        """All that was taken."""
        parts = tuple(part for builder in self._builders.values() for part in self._judged(builder, now))
        self._problems.refuse()
        unknown: Counter[tuple[str, str]] = Counter()
        for owner, builder in self._builders.items():
            if builder.unknown:
                unknown[owner.serving, owner.model] += builder.unknown
        return Decoded(parts, unknown, self._rows)

    def _judged(self, builder: Builder, now: float) -> list[Predictions]:
        return judged(builder.given(self._problems), now, self._problems)

    def _add(self, builder: Builder | None, rows: Rows, fields: dict[str, Values], shape: Shape | None) -> None:
        if builder:
            self._budget.spend(len(rows), builder.width)
            builder.add(rows, fields, shape, self._problems)

    def _builder_of(self, whose: tuple[str | None, str, int | str], row: int) -> Builder | None:
        """None where it is told what is wrong with the owner."""
        if whose not in self._whose:
            self._whose[whose] = self._builder(Whose(*whose), row)
            check_owners(len(self._whose))
        return self._whose[whose]

    def _builder(self, whose: Whose, row: int) -> Builder | None:
        try:
            it = known(whose, self._models)
        except BadBatch as error:
            self._problems.add(row, "", str(error))
            return None
        return self._builders.setdefault(it.owner, Builder(it))

    def _events_of(self, chunk: Chunk) -> list[Prediction]:
        if self._shape:
            try:
                events = self._shape.decoder.decode_lines(chunk.data)
                if chunk.holds(len(events)):
                    return events
            except BAD:  # a feature that the shape lacks, or something that the plain reader says better
                pass
        events = _PLAIN.read(chunk, self._events)
        if self._shape:
            self._learn(events)
        return events

    def _first_shape(self) -> Shape | None:
        """As the first event has it, as all will be alike as a rule."""
        try:
            first = _PLAIN.decoder.decode(self._events.first())
            kinds = known(Whose(first.serving, first.model_name, first.model_version), self._models).spec.features
        except (*BAD, BadBatch):
            return None  # what is wrong is told later, with its place
        self._kinds.update(kinds)
        return self._shape_of(dict.fromkeys(first.features if isinstance(first.features, dict) else ()))

    def _learn(self, events: list[Prediction]) -> None:
        """Another shape, for what the shape did not take."""
        names = dict.fromkeys(self._shape.names if self._shape else ())
        for event in events:
            if isinstance(event.features, dict):
                names.update(event.features)
                for name, value in event.features.items():
                    if isinstance(value, str):
                        self._kinds[name] = "categorical"
        self._shape = self._shape_of(names)

    def _shape_of(self, names: Mapping[str, object]) -> Shape | None:
        self._shapes += 1
        fits = self._shapes <= _SHAPES_MAX and len(names) <= NAMES_MAX and can_be_fields(names)
        return shape(names, self._kinds) if fits else None
