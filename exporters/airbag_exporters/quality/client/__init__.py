"""Sends predictions and labels to the quality exporter without getting in the way of the code that predicts.

    client = QualityClient("http://127.0.0.1:9811")
    id = client.predicted("digits", 3, "7", score=0.93, features={"ink": 0.4})
    client.labelled(id, "7")

Needs the standard library only. Delivery is at least once; with ids, and every prediction gets one, the exporter counts
once.
"""

from __future__ import annotations

import atexit
import os
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self

from airbag_exporters.quality.client.link import Link
from airbag_exporters.quality.client.sender import LABELS, PREDICTIONS, Sender, Stats

__all__ = ["QualityClient", "Stats"]


class QualityClient:
    """Queues rows and sends them from a thread of its own; for use by any number of threads, and across a fork.

    `predicted` and `labelled` neither wait nor raise: what cannot be sent is dropped, counted, and told to the log and
    to `on_drop` at most once a minute. `token` may be a function, asked at each request. A server is trusted when the
    system trusts it, or `ca_file` does; `cert_file` and `key_file` say who we are. `backoff` is the first and the
    longest wait between tries, in seconds. Raises ValueError for a wrong `url`, OSError for files that cannot be read.
    """

    def __init__(
        self, url: str, *, token: str | Callable[[], str] | None = None, ca_file: str | None = None,
        cert_file: str | None = None, key_file: str | None = None, compress: bool = False, queue_rows: int = 100_000,
        batch_rows: int = 1000, interval: float = 0.5, timeout: float = 10.0,
        backoff: tuple[float, float] = (0.1, 30.0), on_drop: Callable[[Stats], None] | None = None,
    ) -> None:  # fmt: skip
        tls = _tls(ca_file, cert_file, key_file) if url.startswith("https:") else None
        link = partial(Link, url, token, tls, timeout, compress)
        link()  # a wrong url is told here, not in a thread
        self._new_sender: Callable[[], Sender] = lambda: Sender(
            link(), queue_rows, batch_rows, interval, backoff, on_drop
        )
        self._senders: dict[int, Sender] = {}
        atexit.register(self.close)

    def predicted(
        self, model_name: str, model_version: int | str, predicted: str | float | None = None, *,
        id: str | None = None, serving: str | None = None, score: float | None = None,
        scores: Sequence[float] | None = None, features: Mapping[str, Any] | Sequence[Any] | None = None,
        segments: Mapping[str, str] | None = None, latency_seconds: float | None = None,
        timestamp: float | None = None, actual: str | float | None = None,
    ) -> str:  # fmt: skip
        """Queue what a model answered; its id, which a label needs, is made where none is given.

        Values may be those of numpy, which is why features are Any; NaN is sent as missing.
        """
        sender = self._sender()
        known = sender.new_id() if id is None else id
        row = {
            "id": known, "model_name": model_name, "model_version": model_version, "serving": serving,
            "predicted": predicted, "score": score, "scores": scores, "features": features, "segments": segments,
            "latency_seconds": latency_seconds, "timestamp": time.time() if timestamp is None else timestamp,
            "actual": actual,
        }  # fmt: skip
        sender.put(PREDICTIONS, row)
        return known

    def labelled(self, id: str, actual: str | float, *, timestamp: float | None = None) -> None:
        """Queue what was true for the prediction of that id, now or days later."""
        at = time.time() if timestamp is None else timestamp
        self._sender().put(LABELS, {"id": id, "actual": actual, "timestamp": at})

    def stats(self) -> Stats:
        """What became of the rows of this process."""
        return self._sender().stats()

    def close(self, timeout: float = 5.0) -> bool:
        """Send what is queued, for at most `timeout` seconds; whether all of it was dealt with. May be called again."""
        atexit.unregister(self.close)
        return self._sender().close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _sender(self) -> Sender:
        """The sender of this process: a fork gets its own, with locks and a thread that live in it."""
        process = os.getpid()
        return self._senders.get(process) or self._senders.setdefault(process, self._new_sender())


def _tls(ca_file: str | None, cert_file: str | None, key_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    if cert_file:
        context.load_cert_chain(cert_file, key_file)
    return context
