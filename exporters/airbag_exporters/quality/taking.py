"""What every source hands its batches to: decoded, counted and committed on the one thread that counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client import Counter as Metric

from airbag_exporters.quality.book import Book
from airbag_exporters.quality.decode import decode_labels, decode_predictions
from airbag_exporters.quality.intake import Kind
from airbag_exporters.quality.pipelines.runs import decode_runs


class BookTaker:
    """A Taker that writes into a Book."""

    def __init__(self, book: Book, now: Callable[[], float], registry: CollectorRegistry) -> None:
        self._book = book
        self._now = now
        self._unknown = Metric(
            "airbag_quality_unknown_features", "Values of features that neither configuration nor reference name.",
            ["serving", "model_name"], registry=registry,
        )  # fmt: skip

    def take(self, kind: Kind, body: bytes, content_type: str, cursors: Mapping[str, str] | None = None) -> int:
        """Count a batch, and remember with it how far its source was read; see intake.Taker for what it raises."""
        if kind is Kind.PREDICTIONS:
            return self._predictions(body, content_type, cursors)
        if kind is Kind.LABELS:
            return self._book.take_labels(decode_labels(body, content_type, self._now()), cursors)
        runs = decode_runs(body, content_type, self._book.config, self._now())
        return self._book.take_runs(runs, cursors) + runs.repeated

    def cursor(self, name: str) -> str | None:
        """How far a source was read when the last batch of it was committed."""
        return self._book.cursors.get(name)

    def _predictions(self, body: bytes, content_type: str, cursors: Mapping[str, str] | None) -> int:
        decoded = decode_predictions(body, content_type, self._book.models, self._now())
        taken = self._book.take_predictions(decoded.parts, cursors)
        self._tell(decoded.unknown_features)
        return taken

    def _tell(self, unknown: Counter[tuple[str, str]]) -> None:
        for names, count in unknown.items():
            self._unknown.labels(*names).inc(count)
