"""The process: every source writes into one book on one thread, and pages show what is in it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from starlette.applications import Starlette

from airbag.clock import SystemClock
from airbag.errors import StartError
from airbag.http import Surface, Web, serve
from airbag_exporters.config import ExportersConfig, load_exporters
from airbag_exporters.quality.book import Book
from airbag_exporters.quality.checks import check_quality
from airbag_exporters.quality.intake import Intake, IntakeMetrics
from airbag_exporters.quality.ledger.open import open_ledger
from airbag_exporters.quality.ledger.values import Ledger, LedgerUnavailable
from airbag_exporters.quality.pages import SNAPSHOT, Pages
from airbag_exporters.quality.sources import OnThread, Sources
from airbag_exporters.quality.taking import BookTaker
from airbag_exporters.quality.upkeep import Upkeep

log = logging.getLogger("airbag.quality")

ABOUT = "Counts predictions and their labels per model version."


def run(config_file: Path, config: ExportersConfig, web: Web) -> None:
    """Serve until SIGTERM or SIGINT. StartError when the address is taken or the state cannot be read."""
    check_quality(config)
    if not (config.quality.state_folder or config.quality.redis):
        log.warning("a restart will forget counters and waiting predictions; set quality.state_folder")
    clock = SystemClock()
    with ExitStack() as parts:
        counting = parts.enter_context(ThreadPoolExecutor(1, "counting"))
        ledger = parts.enter_context(_ledger(config, counting, clock))
        book = counting.submit(Book, config, ledger, clock.now).result()

        def reload() -> None:
            new = load_exporters(config_file, "quality")
            check_quality(new)
            intake.token = _token(new)
            intake.limits = new.quality.limits
            counting.submit(book.configure, new).result()

        surface = Surface("airbag quality exporter", reload=reload, about=ABOUT,
                          links=[("/reference", "references"), ("/openapi.json", "OpenAPI")])  # fmt: skip
        taker = BookTaker(book, clock.now, surface.registry)
        metrics = IntakeMetrics(surface.registry)
        intake = Intake(taker, counting, config.quality.limits, _token(config), metrics)
        pages = Pages(book, clock, lambda: intake.token)
        surface.pages.extend(pages.metrics())
        parts.enter_context(Sources(config.quality, OnThread(taker, counting), surface.registry, metrics, clock))
        parts.enter_context(Upkeep(book, pages.fresh, counting, clock))
        parts.callback(ledger.give_up)  # the first to be called, for the others wait for the thread that counts
        app = Starlette(routes=[*surface.routes(), *pages.routes(), *intake.routes()])
        own = {*Intake.PATHS, SNAPSHOT}
        serve(app, surface, web, own_auth=lambda path: path in own and intake.token is not None)


@contextmanager
def _ledger(config: ExportersConfig, counting: Executor, clock: SystemClock) -> Iterator[Ledger]:
    """The ledger, opened, used and closed by the one thread that counts."""
    ledger = counting.submit(open_ledger, config.quality, clock).result()
    try:
        yield ledger
    except LedgerUnavailable as error:
        raise StartError(str(error)) from error
    finally:
        counting.submit(ledger.close).result()


def _token(config: ExportersConfig) -> str | None:
    return config.quality.token.read() if config.quality.token else None
