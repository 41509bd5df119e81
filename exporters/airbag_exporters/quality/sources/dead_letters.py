"""Lines that were refused, kept for people to look at."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger("airbag.quality.sources")

FILE_MAX = 10 << 20
LINE_MAX = 64 << 10
"""Bytes that are kept of a line."""


class DeadLetters:
    """Appends to `folder/NAME.ndjson`; beyond FILE_MAX bytes that becomes NAME.1.ndjson, and what was there is gone.

    Without a folder nothing is kept. A failing disk is logged and no reason to stop: counters must go on.
    """

    def __init__(self, folder: Path | None, now: Callable[[], float]) -> None:
        self._folder = folder
        self._now = now
        self._lock = threading.Lock()

    def add(self, name: str, place: str, reason: str, line: bytes) -> None:
        """Keep one line, and where it was found."""
        if self._folder is None:
            return
        record = {"at": round(self._now(), 3), "place": place, "reason": reason, **_text(line)}
        data = json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        path = self._folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name.removesuffix('.ndjson'))}.ndjson"
        try:
            with self._lock:
                self._append(path, data)
        except OSError as error:
            log.warning("a refused line cannot be kept", extra={"path": str(path), "reason": str(error)})

    def _append(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size + len(data) > FILE_MAX:
            path.replace(path.with_suffix(".1.ndjson"))
        with path.open("ab") as file:
            file.write(data)


def _text(line: bytes) -> dict[str, object]:
    text = line[:LINE_MAX].decode("utf-8", "backslashreplace")
    return {"line": text} if len(line) <= LINE_MAX else {"line": text, "cut_from_bytes": len(line)}
