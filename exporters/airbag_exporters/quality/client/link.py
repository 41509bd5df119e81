"""The connection to the exporter."""

from __future__ import annotations

import gzip
import http.client
import ssl
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

_WORTH_COMPRESSING = 1024  # bytes
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
_WAIT_MAX = 300.0  # seconds; longer ones are not believed


class Answer(NamedTuple):
    """What the exporter said. `wait` is how many seconds it asked for before another try."""

    status: int
    wait: float
    text: str

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300

    @property
    def later(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in _LATER


class Link:
    """One connection, kept open between requests. For one thread."""

    def __init__(
        self, url: str, token: str | Callable[[], str] | None, tls: ssl.SSLContext | None, timeout: float,
        compress: bool,
    ) -> None:  # fmt: skip
        parts = urlsplit(url)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.query
            or parts.fragment
            or parts.username
        ):
            raise ValueError(f"{url!r} is not http(s)://HOST:PORT")
        self._base = parts.path.rstrip("/")
        self._token = token
        self._compress = compress
        if tls is None:
            self._http = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        else:
            self._http = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=tls)

    def post(self, path: str, body: bytes) -> Answer:
        """Send NDJSON. Raises OSError or HTTPException when no answer came; whether it was taken is open then.

        A connection that was used before may have been closed by the other side meanwhile: that is tried again at once.
        """
        headers = {"content-type": "application/x-ndjson"}
        token = self._token() if callable(self._token) else self._token
        if token:
            headers["authorization"] = f"Bearer {token.strip()}"
        if self._compress and len(body) >= _WORTH_COMPRESSING:
            body = gzip.compress(body, 1)
            headers["content-encoding"] = "gzip"
        was_open = self._http.sock is not None
        try:
            return self._exchange(path, body, headers)
        except ConnectionError:
            if not was_open:
                raise
            return self._exchange(path, body, headers)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._http.close()

    def _exchange(self, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        try:
            self._http.request("POST", self._base + path, body, headers)
            response = self._http.getresponse()
            text = response.read(65536).decode(errors="replace")
            if not response.isclosed():  # longer than any answer of ours
                self._http.close()
        except BaseException:
            self._http.close()
            raise
        return Answer(response.status, _seconds(response.headers.get("retry-after")), text.strip())


def _seconds(retry_after: str | None) -> float:
    return min(float(retry_after), _WAIT_MAX) if retry_after and retry_after.isdecimal() else 0.0
