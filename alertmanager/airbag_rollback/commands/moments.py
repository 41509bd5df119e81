"""Times as people type them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import click

from airbag.config import parse_duration


class MomentType(click.ParamType[float]):
    """ISO 8601, in UTC where it names no zone, seconds since the epoch, or how long ago (`2h`); as seconds."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds since the epoch."""
        found = next((at for at in _readings(str(value)) if 0 <= at < _LAST), None)
        if found is None:
            self.fail(f"{value!r} is no time; write 2026-01-31T08:00:00Z, or 2h for two hours ago", param, ctx)
        return found


_LAST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def _readings(text: str) -> Iterator[float]:
    for read in (float, _iso, lambda ago: time.time() - parse_duration(ago)):
        with suppress(ValueError, OverflowError):
            yield float(read(text))


def _iso(text: str) -> float:
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
