"""Ports for the servers that tests start: never the same for two tests, also not in two processes at once."""

from __future__ import annotations

import atexit
from contextlib import ExitStack

from airbag_demo.ports import claim

_HELD = ExitStack()
atexit.register(_HELD.close)


def free_port() -> int:
    """A port that nobody else gets while this test process lives."""
    return claim(_HELD)
