"""Asks replicas for their snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import requests

from airbag.clock import Clock
from airbag.errors import AirbagError, Garbled, Refused, Unreachable
from airbag.http_config import HttpConfig
from airbag.http_session import new_session, trouble
from airbag_exporters.quality.render import BadSnapshot, Snapshot, decode_snapshot

PATH = "/v1/snapshot"
_AT_ONCE = 16
_BYTES_MAX = 256 << 20
_PIECE_BYTES = 1 << 18


class Replicas:
    """Asks all at once, over connections that are kept; each may take `timeout` seconds. Use as a context manager."""

    def __init__(self, timeout: float, clock: Clock) -> None:
        self._timeout = timeout
        self._clock = clock
        self._pool = ThreadPoolExecutor(_AT_ONCE, "replicas")
        self._sessions: dict[str, requests.Session] = {}
        self._http: HttpConfig | None = None

    def __enter__(self) -> Replicas:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        for session in self._sessions.values():
            session.close()

    def ask(
        self, urls: Sequence[str], token: str | None, http: HttpConfig | None = None
    ) -> Mapping[str, Snapshot | AirbagError]:
        """What each one answers, or why it did not: Unreachable, Refused or Garbled. No URL may stand there twice."""
        if http != self._http:  # another configuration is in force
            for session in self._sessions.values():
                session.close()
            self._sessions, self._http = {}, http
        for url in urls:
            if url not in self._sessions:
                self._sessions[url] = new_session(http)
        return dict(zip(urls, self._pool.map(lambda url: self._answer(url, token), urls), strict=True))

    def _answer(self, url: str, token: str | None) -> Snapshot | AirbagError:
        where = url + PATH
        try:
            return decode_snapshot(self._body(url, where, {"Authorization": f"Bearer {token}"} if token else {}))
        except requests.RequestException as error:
            return Unreachable(f"{where} gives no answer: {trouble(error, self._sessions[url]) or error}")
        except BadSnapshot as error:
            return Garbled(f"{where}: {error}")
        except AirbagError as error:
            return error

    def _body(self, url: str, where: str, headers: Mapping[str, str]) -> bytes:
        deadline = self._clock.monotonic() + self._timeout
        body = bytearray()
        with self._sessions[url].get(
            where, headers=headers, timeout=self._timeout, allow_redirects=False, stream=True
        ) as answer:
            if answer.status_code != requests.codes.ok:
                raise Refused(f"{where} answers {answer.status_code}", str(answer.status_code))
            for part in answer.iter_content(_PIECE_BYTES):
                body += part
                if len(body) > _BYTES_MAX:
                    raise Garbled(f"{where} answers with more than {_BYTES_MAX} bytes")
                if self._clock.monotonic() > deadline:
                    raise Unreachable(f"{where} takes longer than {self._timeout:g} s for its answer")
        return bytes(body)
