"""The counters: what was predicted, what was true, what became of the labels. Mergeable, and they only grow."""

from __future__ import annotations

from collections import Counter as Count
from dataclasses import dataclass, field

from airbag_exporters.quality.join import Owner, Result

OTHER = "other"
VERSIONS_MAX = 100
"""Versions of one model that are kept apart; clients name them, so their number must be bounded."""


@dataclass
class Counts:
    """Sums since the process started. Classes are already folded; `correct` was decided before folding."""

    predictions: Count[tuple[Owner, str]] = field(default_factory=Count)
    outcomes: Count[tuple[Owner, str, str, bool]] = field(default_factory=Count)
    labels: Count[tuple[str, str, Result]] = field(default_factory=Count)
    owners: dict[Owner, None] = field(default_factory=dict)

    def owner(self, serving: str, model: str, version: str) -> Owner:
        """The owner of a prediction. The first VERSIONS_MAX versions of a model are themselves, later ones `other`."""
        owner = Owner(serving, model, version)
        if owner not in self.owners:
            if sum(1 for known in self.owners if known[:2] == owner[:2]) >= VERSIONS_MAX:
                owner = owner._replace(version=OTHER)
            self.owners[owner] = None
        return owner

    def copy(self) -> Counts:
        """A copy that later events leave alone."""
        return Counts(Count(self.predictions), Count(self.outcomes), Count(self.labels), dict(self.owners))
