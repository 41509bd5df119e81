"""Looks at many models at once, and no longer than a page may take."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

from airbag.clock import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_FRESH = 1.0
"""Seconds for which one look does for everybody."""


class Seen(Generic[K, V]):
    """Calls `look` for each key in threads of its own. A look that hangs is never started twice."""

    def __init__(self, look: Callable[[K], V], clock: Clock, patience: float = 2.5, threads: int = 8) -> None:
        self._look = look
        self._clock = clock
        self._patience = patience
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="pages")
        self._lock = threading.Lock()
        self._asked: dict[K, tuple[float, Future[V]]] = {}

    def all(self, keys: Iterable[K], *, anew: bool = False) -> dict[K, V | None]:
        """What was seen of each key; None for what took longer than `patience` seconds. Raises what `look` raises.

        With `anew` nothing that was seen before the call counts, unless it is still being looked at.
        """
        futures = {key: self._future(key, anew) for key in keys}
        wait(futures.values(), timeout=self._patience)
        return {key: future.result() if future.done() else None for key, future in futures.items()}

    def _future(self, key: K, anew: bool) -> Future[V]:
        now = self._clock.monotonic()
        with self._lock:
            asked = self._asked.get(key)
            if asked is None or (asked[1].done() and (anew or now - asked[0] > _FRESH)):
                self._asked[key] = asked = (now, self._pool.submit(self._look, key))
            return asked[1]
