"""Links to Prometheus' own page for a query, where people can reach it.

The address in policy.yml is the receiver's way to Prometheus, which people may not have. Prometheus knows the one for
them, when it was told by `--web.external-url`; without it there are no links, and the queries stand there to copy.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlencode, urlsplit

import requests

from airbag.clock import Clock
from airbag.http_config import HttpConfig
from airbag.http_session import new_session

_KEEP = 300.0
_KEEP_NOTHING = 60.0
_TIMEOUT = 1.0  # seconds that a page may wait for a link


class Graph:
    """Asks `url()` where people find it, and remembers the answer for a while. Safe for several threads."""

    def __init__(
        self, url: Callable[[], str], clock: Clock, http: Callable[[], HttpConfig | None] = lambda: None
    ) -> None:
        self._url = url
        self._http = http
        self._clock = clock
        self._lock = threading.Lock()
        self._known: tuple[str, str, float] = ("", "", 0.0)  # asked where, what came, until when it holds

    def link(self, query: str, at: float) -> str:
        """The address of the graph of the quarter of an hour around `at`; "" when people have none."""
        base = self._base()
        if not base:
            return ""
        when = datetime.fromtimestamp(at + 300, UTC).strftime("%Y-%m-%d %H:%M:%S")
        return f"{base}/graph?" + urlencode(
            {"g0.expr": query, "g0.tab": "0", "g0.range_input": "15m", "g0.end_input": when, "g0.moment_input": when}
        )

    def _base(self) -> str:
        with self._lock:  # one asks, the others wait for what comes
            url, (asked, known, until), now = self._url(), self._known, self._clock.monotonic()
            if asked != url or now >= until:
                known = _external(url, self._http())
                self._known = (url, known, now + (_KEEP if known else _KEEP_NOTHING))
            return known


def _external(url: str, config: HttpConfig | None) -> str:
    try:
        with new_session(config) as http:
            answer = http.get(f"{url.rstrip('/')}/api/v1/status/flags", timeout=_TIMEOUT, allow_redirects=False)
            found = str(answer.json()["data"]["web.external-url"])
    except (requests.RequestException, ValueError, KeyError, TypeError):
        return ""  # a page without links is whole
    parts = urlsplit(found)
    return found.rstrip("/") if parts.scheme in ("http", "https") and parts.hostname and not parts.username else ""
