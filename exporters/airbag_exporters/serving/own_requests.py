"""Our own golden requests, so that none is counted for a version that did not answer it.

The server counts them like any other request, without the version that they named. What a page shows of a model
cannot be told apart while one of ours may be in it.
"""

from __future__ import annotations

import threading
from collections import Counter as Count
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class OwnRequests:
    """Which versions of which models of one server we ask ourselves. Used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_flight: Count[tuple[str, int]] = Count()
        self._since: set[tuple[str, int]] = set()
        self._late: set[tuple[str, int]] = set()

    @contextmanager
    def asking(self, model: str, version: int) -> Iterator[None]:
        """Wrap every call that the server counts, from before it is sent until it is answered or given up.

        A call that raises may have been given up here and go on there: the server is allowed one more page to count it.
        """
        with self._lock:
            self._in_flight[model, version] += 1
            self._since.add((model, version))
        try:
            yield
        except BaseException:
            with self._lock:
                self._late.add((model, version))
            raise
        finally:
            with self._lock:
                self._in_flight[model, version] -= 1
                self._in_flight += Count()  # drops what fell to 0

    def take(self) -> Mapping[str, frozenset[int]]:
        """The versions asked since the last `take`, by model. Call it right after a page was read.

        One that is still in flight may be in this page or in the next, so both are told of it.
        """
        with self._lock:
            asked, self._since, self._late = self._since, {*self._in_flight, *self._late}, set()
        found: dict[str, set[int]] = {}
        for model, version in asked:
            found.setdefault(model, set()).add(version)
        return {model: frozenset(versions) for model, versions in found.items()}
