"""What the intakes take: predictions and labels, checked field by field; a batch is good as a whole or refused."""

from __future__ import annotations

import re
from typing import Annotated, Generic, TypeVar

import msgspec

from airbag.errors import AirbagError

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Class = str | int
Epoch = Annotated[float, msgspec.Meta(ge=0)]


class Prediction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model answered. `serving` may be left out where only one group has that model.

    `timestamp` (seconds since the epoch) is when it answered; the time to live counts from arrival.
    """

    id: Id
    model_name: Annotated[str, msgspec.Meta(min_length=1)]
    model_version: (
        Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] | Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,19}$")]
    )
    predicted: Class
    serving: str | None = None
    timestamp: Epoch | None = None


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was true, for the prediction of the same `id`. `timestamp` (seconds since the epoch) is when."""

    id: Id
    actual: Class
    timestamp: Epoch | None = None


Event = TypeVar("Event", Prediction, Label)


class BadBatch(AirbagError):
    """A batch that is refused whole; the message names the line (or item) and the field."""

    reason = "batch"


NDJSON = "application/x-ndjson"
JSON = "application/json"
_BAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Decoder(Generic[Event]):
    """Decodes batches of one kind of event."""

    def __init__(self, kind: type[Event]) -> None:
        self._one: msgspec.json.Decoder[Event] = msgspec.json.Decoder(kind)
        self._array: msgspec.json.Decoder[list[Event]] = msgspec.json.Decoder(list[kind])  # type: ignore[valid-type] # `kind` is a value here

    def decode(self, body: bytes, content_type: str) -> list[Event]:
        """Every event of the batch; BadBatch for the first that is wrong. `content_type` is NDJSON or JSON."""
        if content_type == JSON:
            try:
                return self._array.decode(body)
            except _BAD as error:
                raise BadBatch(_told(error)) from error
        try:
            return self._one.decode_lines(body)
        except _BAD as error:
            raise BadBatch(self._first_bad_line(body) or _told(error)) from error

    def _first_bad_line(self, body: bytes) -> str | None:
        for number, line in enumerate(body.split(b"\n"), start=1):
            try:
                if line.strip():
                    self._one.decode(line)
            except _BAD as error:
                return f"line {number}: {_told(error)}"
        return None


def _told(error: Exception) -> str:
    """msgspec's message, with its path `$[2].id` as "item 3, field `id`"."""
    what, _, path = str(error).partition(" - at `")
    found = re.fullmatch(r"\$(?:\[(\d+)\])?(?:\.(\w+))?`", path)
    if not found:
        return str(error)
    item = f"item {int(found[1]) + 1}" if found[1] else ""
    field = f"field `{found[2]}`" if found[2] else ""
    return f"{', '.join(filter(None, (item, field)))}: {what}"
