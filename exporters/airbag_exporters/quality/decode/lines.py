"""NDJSON and JSON arrays as chunks of lines, small enough that the objects of one stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import msgspec
import numpy as np

from airbag_exporters.quality.columns import BadBatch
from airbag_exporters.quality.decode.events import BAD, told
from airbag_exporters.quality.decode.limits import EVENT_MAX, check_values

_CHUNK = 1 << 16
_NEWLINE = ord("\n")
_TOO_LONG = f"is longer than {EVENT_MAX} bytes"
BOM = b"\xef\xbb\xbf"
_RAW = msgspec.json.Decoder(list[msgspec.Raw])


def is_object(body: bytes) -> bool:
    """Whether a JSON body is an object, and so holds columns."""
    return body.removeprefix(BOM)[:1024].lstrip()[:1] == b"{"


class Chunk(NamedTuple):
    """`data` holds `lines` lines, with an event in each that is not blank."""

    data: bytes | memoryview
    lines: int

    def holds(self, events: int) -> bool:
        """Whether so many events were one a line; msgspec also takes several in a line, or one in several lines."""
        return events == self.lines or events == sum(bool(line.strip()) for line in bytes(self.data).split(b"\n"))


class Lines:
    """A body of NDJSON. The number of an event counts from 0, without blank lines."""

    def __init__(self, body: bytes) -> None:
        self._body = body.removeprefix(BOM)

    def chunks(self) -> Iterator[Chunk]:
        """The whole body."""
        view, start = memoryview(self._body), 0
        while start < len(self._body):
            end = self._body.find(b"\n", start + _CHUNK) + 1 or len(self._body)
            if end - start > _CHUNK + EVENT_MAX:
                raise BadBatch(f"line {self._body.count(_NEWLINE, 0, end - 1) + 1}, {_TOO_LONG}")
            ends = np.frombuffer(view[start:end], np.uint8) == _NEWLINE
            lines = int(np.count_nonzero(ends)) + (not ends[-1])
            yield Chunk(view[start:end], lines)
            start = end

    def first(self) -> bytes:
        """The first line, which may be blank."""
        return self._body[: self._body.find(b"\n") + 1 or len(self._body)]

    def each(self) -> Iterator[bytes]:
        """Every event by itself."""
        return filter(bytes.strip, self._body.split(b"\n"))

    def place(self, event: int) -> str:
        """How a message calls it."""
        return f"line {self._numbers[event]}"

    @cached_property
    def _numbers(self) -> list[int]:
        return [number for number, line in enumerate(self._body.split(b"\n"), start=1) if line.strip()]


class Items:
    """A JSON array. BadBatch when it is none; its events are not looked into."""

    def __init__(self, body: bytes) -> None:
        check_values(body)
        try:
            self._items = _RAW.decode(body.removeprefix(BOM))
        except BAD as error:
            raise BadBatch(": ".join(filter(None, told(error)))) from error

    def chunks(self) -> Iterator[Chunk]:
        """The whole array."""
        start = size = 0
        for end, item in enumerate(self._items, start=1):
            length = len(memoryview(item))
            if length > EVENT_MAX:
                raise BadBatch(f"{self.place(end - 1)}, {_TOO_LONG}")
            size += length
            if size >= _CHUNK or end == len(self._items):
                yield Chunk(b"\n".join(self._items[start:end]), end - start)
                start, size = end, 0

    def first(self) -> bytes:
        """The first event, empty without any."""
        return bytes(self._items[0]) if self._items else b""

    def each(self) -> Iterator[bytes]:
        """Every event by itself."""
        return map(bytes, self._items)

    def place(self, event: int) -> str:
        """How a message calls it."""
        return f"item {event + 1}"


Events = Lines | Items
