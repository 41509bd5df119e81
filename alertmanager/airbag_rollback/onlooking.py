"""The journal for a judge that only explains: looking leaves no trace."""

from __future__ import annotations

from airbag_rollback.journal.ledger import Ledger


class Unmoved(Ledger):
    """What was seen is not taken down."""

    def observe(self, serving: str, model: str, *_seen: object) -> int:
        return self.epoch(serving, model)
