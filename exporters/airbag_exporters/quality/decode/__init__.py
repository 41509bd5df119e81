"""Bytes to columns: predictions and labels in every format that is taken."""

from __future__ import annotations

from airbag_exporters.quality.columns import BadBatch, Labels
from airbag_exporters.quality.decode.batch import decode_events
from airbag_exporters.quality.decode.decoded import Decoded
from airbag_exporters.quality.decode.labels import decode_label_events
from airbag_exporters.quality.decode.lines import Items, Lines
from airbag_exporters.quality.models import Models

NDJSON = "application/x-ndjson"
JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"


def decode_predictions(body: bytes, content_type: str, models: Models, now: float) -> Decoded:
    """A whole batch, or BadBatch with a line a problem. `now` (epoch seconds) is when predictions without time were."""
    return decode_events(Items(body) if content_type == JSON else Lines(body), models, now)


def decode_labels(body: bytes, content_type: str, now: float) -> Labels:
    """A whole batch, or BadBatch with a line a problem. `now` (epoch seconds) is when labels without a time came."""
    return decode_label_events(Items(body) if content_type == JSON else Lines(body), now)


__all__ = ["ARROW", "JSON", "NDJSON", "BadBatch", "Decoded", "decode_labels", "decode_predictions"]
