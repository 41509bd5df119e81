"""Who counts what the sources fetch."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Protocol

from airbag_exporters.quality.intake.taker import Kind


class Taker(Protocol):
    """Decodes, counts and commits, whichever thread asks."""

    def take(self, kind: Kind, body: bytes, content_type: str, cursors: Mapping[str, str]) -> int:
        """Count a whole batch, and keep `cursors` in the same commit; an empty body keeps only these.

        Nothing was counted when it raises: BadBatch for a batch that is never taken, or an AirbagError that is
        retryable (LedgerUnavailable, Conflict) for one to try again.
        """

    def cursor(self, name: str) -> str | None:
        """What was kept under that name when the process started."""


class OnThread:
    """Asks a taker on the one thread that counts, and waits for it."""

    def __init__(self, taker: Taker, counting: Executor) -> None:
        self._taker = taker
        self._counting = counting

    def take(self, kind: Kind, body: bytes, content_type: str, cursors: Mapping[str, str]) -> int:
        """As Taker says."""
        return self._counting.submit(self._taker.take, kind, body, content_type, cursors).result()

    def cursor(self, name: str) -> str | None:
        """As Taker says."""
        return self._counting.submit(self._taker.cursor, name).result()
