"""A real taker on a real book, with everything it ever wrote in sight."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry

from airbag.clock import SystemClock
from airbag.config import parse
from airbag_exporters.config import ExportersConfig
from airbag_exporters.quality.book import Book
from airbag_exporters.quality.intake import Kind
from airbag_exporters.quality.ledger.memory import memory_ledger
from airbag_exporters.quality.ledger.values import Change, Ledger, Limits
from airbag_exporters.quality.taking import BookTaker

CONFIG = """
servings:
  - name: main
    targets: [{name: a, grpc: "127.0.0.1:1"}]
    models:
      - name: churn
        classes: ["stay", "leave"]
        quality:
          kind: binary
          positive: leave
          features: {age: numeric, plan: categorical}
          segments: {country: [de, fr]}
      - {name: digits, classes: ["0", "1", "2"], quality: {features: {ink: numeric}}}
      - {name: prices, quality: {kind: regression}}
      - {name: clicks, quality: {kind: ranking}}
      - {name: words, quality: {kind: translation, ter_sample: 0}}
pipelines: [{name: features, tasks: [extract, load]}]
"""


class Watched:
    """A ledger that counts its commits."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.commits = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)

    def commit(self, change: Change) -> None:
        self.commits += 1
        self._ledger.commit(change)


class CountingTaker:
    """Takes batches as the process does."""

    def __init__(self, text: str = CONFIG) -> None:
        clock = SystemClock()
        config = parse(text, ExportersConfig, source="exporters.yml", base=Path())
        self.ledger = Watched(memory_ledger(Limits(100_000, 86_400.0, 60.0), clock))
        self.book = Book(config, self.ledger, clock.now)
        self._taker = BookTaker(self.book, clock.now, CollectorRegistry())

    def take(self, kind: Kind, body: bytes, content_type: str) -> int:
        return self._taker.take(kind, body, content_type)

    def state(self) -> object:
        """Everything that a batch may change, as values that no later batch changes."""
        counters = self.book.counters
        blocks = {str(name): block.to_bytes() for name, block in (*counters.versions.items(), *counters.models.items())}
        return self.ledger.commits, self.ledger.pending(), blocks, counters.pipelines, dict(self.book.cursors)
