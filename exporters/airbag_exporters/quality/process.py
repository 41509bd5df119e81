"""The process: two intakes and the scrape page."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette

from airbag.clock import SystemClock
from airbag.http import Surface, Web, serve
from airbag_exporters.config import ExportersConfig, load_exporters
from airbag_exporters.quality.book import Book
from airbag_exporters.quality.collector import QualityCollector
from airbag_exporters.quality.intake import Intake


def run(config_file: Path, config: ExportersConfig, web: Web) -> None:
    """Serve until SIGTERM or SIGINT. StartError when the address is taken."""
    book = Book(config, SystemClock())
    intake = Intake(book, _token(config))

    def reload() -> None:
        new = load_exporters(config_file)
        intake.token = _token(new)
        book.config = new

    surface = Surface("airbag quality exporter", reload=reload,
                      about="Counts predictions and their labels per model version.")  # fmt: skip
    surface.registry.register(QualityCollector(book))
    app = Starlette(routes=[*surface.routes(), *intake.routes()])
    serve(app, surface, web, own_auth=lambda path: path in Intake.PATHS and intake.token is not None)


def _token(config: ExportersConfig) -> str | None:
    return config.quality.token.read() if config.quality.token else None
