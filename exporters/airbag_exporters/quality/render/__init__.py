"""What is known of the models' quality, as pages for Prometheus and as a snapshot for the aggregator."""

from airbag_exporters.quality.render.page import metrics_page
from airbag_exporters.quality.render.reference import reference_page
from airbag_exporters.quality.render.snapshot import BadSnapshot, Snapshot, decode_snapshot, encode_snapshot

__all__ = ["BadSnapshot", "Snapshot", "decode_snapshot", "encode_snapshot", "metrics_page", "reference_page"]
