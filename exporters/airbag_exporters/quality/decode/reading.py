"""Reading chunks of events, and telling what is wrong in them."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from airbag_exporters.quality.columns import BadBatch
from airbag_exporters.quality.decode.events import BAD, Label, Prediction, told_event
from airbag_exporters.quality.decode.lines import Chunk, Events
from airbag_exporters.quality.decode.problems import Problems

Event = TypeVar("Event", Prediction, Label)


class Reader(Generic[Event]):
    """Reads one kind of event."""

    def __init__(self, kind: type[Event]) -> None:
        self.decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(kind)

    def read(self, chunk: Chunk, events: Events) -> list[Event]:
        """The events of a chunk; BadBatch with what is wrong in all of `events`."""
        try:
            read = self.decoder.decode_lines(chunk.data)
        except BAD as error:
            raise self._refusal(events) from error
        if not chunk.holds(len(read)):
            raise self._refusal(events)
        return read

    def _refusal(self, events: Events) -> BadBatch:
        problems = Problems(events.place)
        for row, event in enumerate(events.each()):
            try:
                self.decoder.decode(event)
            except BAD as error:
                problems.add(row, *told_event(error, event))
                if problems.is_full:
                    break
        return problems.as_error() or BadBatch("there must be one event in each line")
