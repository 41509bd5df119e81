"""Structured logs: one event a line, logfmt or JSON, on standard error."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

Format = Literal["logfmt", "json"]
LEVELS = ("debug", "info", "warn", "error")

_NAMES = {logging.WARNING: "warn", logging.CRITICAL: "error"}
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _fields(record: logging.LogRecord) -> dict[str, object]:
    stamp = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields: dict[str, object] = {
        "ts": stamp,
        "level": _NAMES.get(record.levelno, record.levelname.lower()),
        "component": record.name,
        "msg": record.getMessage(),
    }
    fields.update((key, value) for key, value in vars(record).items() if key not in _OWN)
    if record.exc_info:
        fields["error"] = logging.Formatter().formatException(record.exc_info)
    return fields


def _plain(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return json.dumps(text) if text == "" or any(c in text for c in ' "=\n\r\t') else text


class _Logfmt(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return " ".join(f"{key}={_plain(value)}" for key, value in _fields(record).items())


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(_fields(record), default=str)


def setup(level: str = "info", format: Format = "logfmt") -> None:
    """Send every log record of the process to standard error in one format. Calling it again replaces the set-up.

    Fields beside the message are passed as `log.info("switched", extra={"model_name": "m"})`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if format == "json" else _Logfmt())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel({"warn": "WARNING"}.get(level, level.upper()))


class Complaints:
    """Warnings that may come again every second, each told at once and then no more than once in `every` seconds."""

    def __init__(
        self, log: logging.Logger, every: float = 60.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:  # fmt: skip
        self._log = log
        self._every = every
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._told: dict[str, tuple[float, int]] = {}  # when, and how often it came since

    def warn(self, message: str, reason: object) -> None:
        """Log the message with its reason, and how often it came since it was told last where it did."""
        with self._lock:
            now = self._monotonic()
            at, since = self._told.get(message, (-self._every, 0))
            is_due = now - at >= self._every
            self._told[message] = (now, 0) if is_due else (at, since + 1)
        if is_due:
            more = {"repeated": since} if since else {}
            self._log.warning(message, extra={"reason": str(reason), **more})
