"""What one batch may become in memory, whatever its bytes claim: bodies are small, what they describe need not be."""

from __future__ import annotations

from airbag_exporters.quality.columns import BadBatch

CELLS_MAX = 16 << 20
"""Numbers of eight bytes: 128 MiB, or 760,000 rows of 20 features."""
OWNERS_MAX = 1000
EVENT_MAX = 1 << 20
"""Bytes of one event; as objects of Python they are ten times as many."""
VALUES_MAX = 4 << 20
"""Values in a JSON body, which are all in memory at once. NDJSON is read chunk by chunk."""
_TOO_LARGE = "the batch has too many rows for so many features and classes; send smaller batches"


class Budget:
    """Counts the cells of a batch."""

    def __init__(self) -> None:
        self._left = CELLS_MAX

    def spend(self, rows: int, columns: int) -> None:
        """BadBatch when the batch becomes too large."""
        self._left -= rows * max(columns, 1)
        if self._left < 0:
            raise BadBatch(_TOO_LARGE)


def check_owners(count: int) -> None:
    """BadBatch when there are too many."""
    if count > OWNERS_MAX:
        raise BadBatch(f"the batch names more than {OWNERS_MAX} versions of models; send smaller batches")


def check_values(body: bytes) -> None:
    """BadBatch for a JSON body with too many values, be they in arrays or objects; commas in texts count too."""
    if len(body) > 2 * VALUES_MAX and body.count(b",") > VALUES_MAX:
        raise BadBatch("the batch has too many values for one JSON body; send smaller batches, or NDJSON")
