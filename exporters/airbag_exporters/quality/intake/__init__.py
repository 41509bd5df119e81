"""Takes batches over HTTP: who may send, how much at once, and what they are told."""

from airbag_exporters.quality.intake.metrics import IntakeMetrics, Reason, Source
from airbag_exporters.quality.intake.routes import Intake
from airbag_exporters.quality.intake.taker import Kind, Taker

__all__ = ["Intake", "IntakeMetrics", "Kind", "Reason", "Source", "Taker"]
