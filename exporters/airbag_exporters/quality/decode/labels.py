"""Labels from events."""

from __future__ import annotations

import numpy as np

from airbag_exporters.quality.columns import Coded, Floats, Keys, Labels
from airbag_exporters.quality.decode.columns import floats, numbers_or_texts
from airbag_exporters.quality.decode.events import Label
from airbag_exporters.quality.decode.given import FUTURE_MAX
from airbag_exporters.quality.decode.lines import Events
from airbag_exporters.quality.decode.problems import Problems
from airbag_exporters.quality.decode.reading import Reader
from airbag_exporters.quality.hashing import hash_texts

_READER = Reader(Label)


def decode_label_events(events: Events, now: float) -> Labels:
    """Every label; BadBatch with the first ten problems."""
    ids: list[str] = []
    actual: list[str | int | float] = []
    timestamps: list[float | None] = []
    for chunk in events.chunks():
        for label in _READER.read(chunk, events):
            ids.append(label.id)
            actual.append(label.actual)
            timestamps.append(label.timestamp)
    return labels(hash_texts(ids), numbers_or_texts(actual), floats(timestamps), now, Problems(events.place))


def labels(keys: Keys, actual: Coded | Floats, at: Floats, now: float, problems: Problems) -> Labels:
    """Judged; `at` is NaN where it is now that counts."""
    rows = np.arange(len(keys))
    if isinstance(actual, np.ndarray):
        problems.add_rows(rows[~np.isfinite(actual)], "actual", "Expected a finite number or a text")
    else:
        problems.add_rows(rows[actual.codes < 0], "actual", "Expected a finite number or a text")
    problems.add_rows(rows[(at < 0) | np.isinf(at)], "timestamp", "Expected a finite number >= 0")
    late = rows[at > now + FUTURE_MAX]
    problems.add_rows(late, "timestamp", "is more than a day in the future; times are seconds since the epoch")
    problems.refuse()
    return Labels(keys, actual, np.where(np.isnan(at), now, at))
