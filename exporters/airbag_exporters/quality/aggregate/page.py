"""Records as exposition text."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from airbag.exposition import escaped, number
from airbag_exporters.quality.aggregate.catalog import Level
from airbag_exporters.quality.aggregate.window import Record


class RecordsPage:
    """Writes pages; what tells rows apart is made into text once for as long as a level lives."""

    def __init__(self) -> None:
        self._labels: dict[Level, tuple[str, ...]] = {}

    def text(self, records: Iterable[Record]) -> bytes:
        """One gauge a record; one without a row has no line at all."""
        shown = list(records)
        self._labels = {each.level: self._labels.get(each.level) or _labels(each.level) for each in shown}
        return "".join(self._family(each) for each in shown).encode(errors="replace")

    def _family(self, record: Record) -> str:
        rows = np.flatnonzero(record.present).tolist()
        if not rows:
            return ""
        labels, values, name = self._labels[record.level], record.values.tolist(), record.name
        lines = [f"{name}{{{labels[row]}}} {number(values[row])}\n" for row in rows]
        return f"# HELP {name} As the recording rule of this name.\n# TYPE {name} gauge\n{''.join(lines)}"


def _labels(level: Level) -> tuple[str, ...]:
    return tuple(
        ",".join(f'{label}="{escaped(value)}"' for label, value in zip(level.labels, row, strict=True) if value)
        for row in level.rows
    )
