"""The process: one poller per target, and the scrape page."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Route

from airbag.clock import SystemClock
from airbag.http import Surface, Web, serve
from airbag_exporters.config import ExportersConfig, load_exporters
from airbag_exporters.serving.fleet import Fleet
from airbag_exporters.serving.probe import Probes
from airbag_exporters.serving.scrape import fleet_page


def run(config_file: Path, config: ExportersConfig, web: Web) -> None:
    """Serve until SIGTERM or SIGINT. StartError when the address is taken."""
    clock = SystemClock()
    fleet, probes = Fleet(config, clock), Probes(config, clock)

    def reload() -> None:
        new = load_exporters(config_file)
        fleet.adopt(new)
        probes.adopt(new)

    surface = Surface("airbag serving exporter", not_ready=fleet.not_ready, reload=reload)
    surface.pages.append(lambda: fleet_page(fleet.read()))

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        fleet.start()
        yield
        fleet.stop()
        probes.stop()

    routes = [*surface.routes(), Route("/probe", probes.endpoint, methods=["GET"])]
    serve(Starlette(routes=routes, lifespan=lifespan), surface, web)
