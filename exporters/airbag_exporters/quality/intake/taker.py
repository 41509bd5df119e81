"""Who counts what the intakes receive."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Kind(StrEnum):
    """What a batch holds; also the last part of its path."""

    PREDICTIONS = "predictions"
    LABELS = "labels"
    PIPELINE_RUNS = "pipeline-runs"


class Taker(Protocol):
    """Decodes, counts and commits; called on one thread, the counting thread, by every intake."""

    def take(self, kind: Kind, body: bytes, content_type: str) -> int:
        """Count a whole batch and return its rows once they are committed.

        `content_type` has neither parameters nor capitals. Nothing was counted when it raises: BadBatch for a batch
        that is never taken, or an AirbagError that is retryable (LedgerUnavailable, Conflict) for one to send again.
        """
