"""What has to happen while time passes: labels that never came, versions that are gone, references that appear."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Executor
from types import TracebackType
from typing import Self

from airbag.clock import Clock
from airbag.errors import AirbagError
from airbag_exporters.quality.book import Book
from airbag_exporters.quality.pages import Fresh

log = logging.getLogger("airbag.quality")

_EVERY = 1.0  # seconds
_SLOW_EVERY = 10  # turns


class Upkeep:
    """A thread that asks the counting thread for it once a second, while the `with` block lasts."""

    def __init__(self, book: Book, fresh: Fresh, counting: Executor, clock: Clock) -> None:
        self._book = book
        self._fresh = fresh
        self._clock = clock
        self._counting = counting
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        turn = 0
        while not self._ended.wait(_EVERY):
            turn += 1
            try:
                self._counting.submit(self._show).result()
                while self._counting.submit(self._book.expire).result() and not self._ended.is_set():
                    pass
                if turn % _SLOW_EVERY == 0:
                    self._counting.submit(self._slowly).result()
            except AirbagError as error:
                log.warning("upkeep failed, it is tried again", extra={"reason": str(error)})
            except Exception:
                log.exception("upkeep failed, it is tried again")

    def _show(self) -> None:
        self._book.show(self._fresh.due(self._clock.monotonic()) - self._book.counters.shown)

    def _slowly(self) -> None:
        self._book.drop_old_versions()
        if self._book.models.references_changed():
            self._book.configure(self._book.config)
            log.info("references read again")
