"""Where a process listens. Imports nothing heavy: the health check starts often."""

from __future__ import annotations

import re
from typing import NamedTuple


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """`HOST:PORT`, `[V6]:PORT` or `:PORT`, which means loopback; ValueError otherwise."""
        found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:\[\]]*)):(\d{1,5})", text)
        if not found or int(found[3]) > 65535:
            raise ValueError(f"{text!r} is not an address; write HOST:PORT, [V6]:PORT or :PORT")
        return cls(found[1] or found[2] or "127.0.0.1", int(found[3]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
