"""Which ledger the configuration asks for."""

from __future__ import annotations

from airbag.clock import Clock
from airbag_exporters.config import Quality
from airbag_exporters.quality.ledger.memory import memory_ledger
from airbag_exporters.quality.ledger.redis import redis_ledger
from airbag_exporters.quality.ledger.sqlite import sqlite_ledger
from airbag_exporters.quality.ledger.values import Ledger, Limits


def limits_of(quality: Quality) -> Limits:
    """As the configuration has them."""
    return Limits(quality.pending_max, quality.label_ttl, quality.early_label_ttl)


def open_ledger(quality: Quality, clock: Clock) -> Ledger:
    """Redis when there is one, else a file in `state_folder`, else memory.

    StartError when the file cannot be used; Redis is spoken to by `Ledger.load`, which may raise it as well.
    """
    limits = limits_of(quality)
    if quality.redis:
        return redis_ledger(quality.redis, quality.replica, limits, clock)
    if quality.state_folder:
        return sqlite_ledger(quality.state_folder, limits, clock)
    return memory_ledger(limits, clock)
