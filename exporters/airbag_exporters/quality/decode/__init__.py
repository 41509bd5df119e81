"""Bytes to columns: predictions and labels in every format that is taken."""

from __future__ import annotations

from airbag_exporters.quality.columns import BadBatch, Labels
from airbag_exporters.quality.decode.arrow import decode_arrow, decode_arrow_labels
from airbag_exporters.quality.decode.batch import decode_events
from airbag_exporters.quality.decode.columnar import decode_columnar, decode_label_columns
from airbag_exporters.quality.decode.decoded import Decoded
from airbag_exporters.quality.decode.labels import decode_label_events
from airbag_exporters.quality.decode.lines import Items, Lines, is_object
from airbag_exporters.quality.media import ARROW, JSON, NDJSON
from airbag_exporters.quality.models import Models


def decode_predictions(body: bytes, content_type: str, models: Models, now: float) -> Decoded:
    """A whole batch, or BadBatch with a line a problem. `now` (epoch seconds) is when predictions without time were."""
    if content_type == ARROW:
        return decode_arrow(body, models, now)
    if content_type == NDJSON:
        return decode_events(Lines(body), models, now)
    return decode_columnar(body, models, now) if is_object(body) else decode_events(Items(body), models, now)


def decode_labels(body: bytes, content_type: str, now: float) -> Labels:
    """A whole batch, or BadBatch with a line a problem. `now` (epoch seconds) is when labels without a time came."""
    if content_type == ARROW:
        return decode_arrow_labels(body, now)
    if content_type == NDJSON:
        return decode_label_events(Lines(body), now)
    return decode_label_columns(body, now) if is_object(body) else decode_label_events(Items(body), now)


__all__ = ["ARROW", "JSON", "NDJSON", "BadBatch", "Decoded", "decode_labels", "decode_predictions"]
